import assert from "node:assert/strict";
import { test } from "node:test";
import { agentpb } from "@paddock/protocol";
import { CONTAINER, execStart, MACHINE, receive, SANDBOX, testBed } from "../testing/stream-test-bed.ts";
import { GuestWatch } from "./guest-watch.ts";

const TIMES = { askEveryMs: 20, patienceMs: 300, knownSilentMs: 100 };
const never = new AbortController().signal;

/** A guest that answers when the test allows it. */
async function bed(options: Parameters<typeof testBed>[0] = {}) {
  const answer = { kind: "silent" as "silent" | "slow" | "prompt", asked: 0 };
  const made = await testBed({
    ...options,
    routes: (router) =>
      router.service(agentpb.SandboxService, {
        getGuest: async () => {
          answer.asked += 1;
          if (answer.kind === "silent") await new Promise(() => undefined);
          if (answer.kind === "slow") await new Promise((resolve) => setTimeout(resolve, 100));
          return {};
        },
      }),
  });
  return { made, answer, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
}

const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason), { once: true }));

test("exec and wait on a guest that does not answer end with the cause and the time of its last answer", async () => {
  await using guest = await bed({ command: () => undefined });
  const { streams, fake } = guest.made;
  fake.add(CONTAINER, "silent");
  const call = streams.exec();
  await call.write(execStart(["sleep"]));
  const wait = streams.waitProcess({ sandboxId: SANDBOX, containerId: CONTAINER, execId: "silent" });
  const refused = (ended: Promise<unknown>) =>
    assert.rejects(ended, (error: Error & { reason?: string; metadata?: Record<string, string> }) => {
      assert.equal(error.reason, "GUEST_UNAVAILABLE", error.message);
      assert.match(error.message, /does not answer/);
      assert.match(error.metadata?.silent_since ?? "", /^2/);
      return true;
    });
  await Promise.all([refused(receive(call)), refused(wait)]);
  assert.ok(guest.answer.asked <= 4, `asked ${guest.answer.asked} times`);
});

test("a slow guest is waited for, and a guest that answers is asked again later", async () => {
  await using guest = await bed();
  guest.answer.kind = "slow";
  using watch = new GuestWatch(guest.made.sandbox, never, { ...TIMES, patienceMs: 10_000 });
  while (guest.answer.asked < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(watch.signal.aborted, false);
});

test("the guest of a paused VM is not asked and its streams stay open; after a resume, silence counts again", async () => {
  await using guest = await bed();
  guest.made.sandboxPhase = { kind: "paused", machine: MACHINE, startedAtMs: 1 };
  using watch = new GuestWatch(guest.made.sandbox, never, TIMES);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(guest.answer.asked, 0);
  assert.equal(watch.signal.aborted, false);
  const end = aborted(watch.signal);
  guest.made.sandboxPhase = { kind: "running", machine: MACHINE, startedAtMs: 1 };
  assert.equal(((await end) as { reason?: string }).reason, "GUEST_UNAVAILABLE");
});

test("a health check whose link breaks is repeated on the next link", async () => {
  await using guest = await bed();
  using watch = new GuestWatch(guest.made.sandbox, never, { ...TIMES, patienceMs: 10_000 });
  while (guest.answer.asked < 1) await new Promise((resolve) => setTimeout(resolve, 10));
  guest.answer.kind = "prompt";
  guest.made.fake.dropLink();
  while (guest.answer.asked < 4 && !watch.signal.aborted)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(watch.signal.aborted, false);
});
