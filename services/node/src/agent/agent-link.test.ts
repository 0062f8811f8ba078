import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { FakeAgent } from "../testing/fake-agent.ts";
import { AgentLink, type LinkState } from "./agent-link.ts";

const FAST = { pauseMs: { first: 1, longest: 10 } };

test("a broken link is reopened, and waiters get the new connection", async () => {
  await using fake = await FakeAgent.start();
  using link = new AgentLink({ socketPath: fake.socketPath, ...FAST });
  const first = await link.client();
  fake.dropLink();
  await first.closed;
  const second = await link.client({ deadlineMs: 2000 });
  assert.notEqual(first, second);
  await second.sandbox.getGuest({});
  assert.equal(link.state.kind, "up");
});

test("a waiter fails at its deadline, with the error of the last attempt", async () => {
  const again = Promise.withResolvers<void>();
  using link = new AgentLink({
    socketPath: "/nonexistent/agent.sock",
    ...FAST,
    onState: ({ kind }) => kind === "connecting" && again.resolve(),
  });
  // The first attempt has failed and the second is in progress: the error is still that of the first.
  await again.promise;
  await assert.rejects(link.client({ deadlineMs: 1 }), /within 1 ms.*ENOENT/);
});

test("a waiter fails when its caller aborts", async () => {
  using link = new AgentLink({ socketPath: "/nonexistent/agent.sock", ...FAST });
  const leaving = new AbortController();
  const waiting = link.client({ signal: leaving.signal });
  leaving.abort(new PaddockError("CANCELLED", "left"));
  await assert.rejects(waiting, /left/);
});

test("closing fails waiters, calls in progress and later callers with the recorded cause", async () => {
  await using fake = await FakeAgent.start();
  using link = new AgentLink({ socketPath: fake.socketPath, ...FAST });
  const agent = await link.client();
  fake.add("c", "e");
  const call = agent.processes.waitProcess({ containerId: "c", execId: "e" }, { timeoutMs: 0 });
  using dead = new AgentLink({ socketPath: "/nonexistent/agent.sock", ...FAST });
  const waiting = dead.client();
  const cause = new PaddockError("VM_UNAVAILABLE", "the VM was lost");
  link.close(cause);
  dead.close(cause);
  await Promise.all([call, waiting, link.client(), dead.client()].map((each) => assert.rejects(each, cause)));
  assert.equal(fake.connections, 1);
});

test("a guest that hangs up at once causes fewer and fewer attempts", async () => {
  const states: LinkState[] = [];
  const enough = Promise.withResolvers<void>();
  await using fake = await FakeAgent.start({ greet: async (socket) => socket.end() && false });
  using link = new AgentLink({
    socketPath: fake.socketPath,
    pauseMs: { first: 1, longest: 16 },
    onState: (state) => {
      states.push(state);
      if (states.length === 14) enough.resolve();
    },
  });
  await enough.promise;
  link.close(new PaddockError("VM_UNAVAILABLE", "over"));
  const pauses = states.flatMap((state) => (state.kind === "waiting" ? state.pauseMs : []));
  assert.deepEqual(pauses.slice(0, 7), [1, 2, 4, 8, 16, 16, 16]);
});

test("an attempt without an answer is repeated on another socket", async () => {
  let silent = true;
  await using fake = await FakeAgent.start({
    greet: async (socket, hello) => {
      if (silent) {
        silent = false;
        return false;
      }
      socket.write(hello.replace("HELLO", "READY"));
      return true;
    },
  });
  using link = new AgentLink({
    socketPath: fake.socketPath,
    ...FAST,
    attemptMs: { first: 20, longest: 2000 },
  });
  await link.client({ deadlineMs: 5000 });
  assert.ok(fake.connections >= 2);
});
