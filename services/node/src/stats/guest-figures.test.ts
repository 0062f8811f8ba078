import assert from "node:assert/strict";
import { test } from "node:test";
import { agentpb } from "@paddock/protocol";
import { AgentLink } from "../agent/agent-link.ts";
import { FakeAgent } from "../testing/fake-agent.ts";
import { guestFigures } from "./guest-figures.ts";

const IDS = Array.from({ length: 128 }, (_, index) => `c${index}`);
const never = new AbortController().signal;

async function bed(list: (request: agentpb.ListContainerStatsRequest) => Promise<object> | object) {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(
    await FakeAgent.start({
      routes: (router) => router.service(agentpb.ContainerService, { listContainerStats: list }),
    }),
  );
  const link = stack.use(new AgentLink({ socketPath: fake.socketPath, pauseMs: { first: 1, longest: 20 } }));
  return { figures: guestFigures(link), link, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("several watchers of 128 containers share a few sequential calls", async () => {
  let calls = 0;
  let underWay = 0;
  let most = 0;
  await using guest = await bed(async ({ containerIds, withGuest }) => {
    calls += 1;
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay -= 1;
    const containers = containerIds.map((containerId) => ({
      containerId,
      figures: { cpu: { usageUs: BigInt(containerId.slice(1)) } },
    }));
    return { containers, ...(withGuest && { guest: { onlineCpus: 3 } }) };
  });
  assert.equal(guestFigures(guest.link), guest.figures);
  const watch = async () => {
    const read = await Promise.all(IDS.map((id) => guest.figures.container(id, never)));
    assert.deepEqual(
      read.map(({ cpu }) => cpu?.usageUs),
      IDS.map((_, index) => BigInt(index)),
    );
    assert.equal((await guest.figures.guest(never))?.onlineCpus, 3);
  };
  await Promise.all(Array.from({ length: 8 }, watch));
  assert.equal(most, 1);
  assert.ok(calls <= 6, `${calls} calls`);
});

test("a missing container fails only its readers, and a reader that leaves fails no other", async () => {
  const answered = Promise.withResolvers<void>();
  await using guest = await bed(async ({ containerIds }) => {
    await answered.promise;
    return {
      containers: containerIds
        .filter((id) => id !== "gone")
        .map((containerId) => ({ containerId, figures: {} })),
    };
  });
  const leaving = new AbortController();
  const left = guest.figures.container("c", leaving.signal);
  const stays = guest.figures.container("c", never);
  const gone = guest.figures.container("gone", never);
  gone.catch(() => undefined);
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  answered.resolve();
  assert.ok(await stays);
  await assert.rejects(gone, { reason: "CONTAINER_NOT_FOUND" });
});
