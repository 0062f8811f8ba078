import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { ContainerState, SandboxState } from "@paddock/protocol";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
/** Its outcome is too large to be kept, so a repeat is answered from the record. */
const largeSpec = {
  ...spec,
  annotations: Object.fromEntries(
    Array.from({ length: 17 }, (_, index) => [`note${index}`, "x".repeat(4096)]),
  ),
};
const run = { case: "runSandbox", value: { spec } } as const;
const runLarge = { case: "runSandbox", value: { spec: largeSpec } } as const;

const shown = async (node: TestNode) => sandboxIn(await node.ask({ case: "getSandbox", value: {} }));

/** Counts the executions of containers from now on. */
function countStarts(node: TestNode): { starts: number } {
  const counted = { starts: 0 };
  node.guest.onCall = async (name) => {
    if (name === "startContainer") counted.starts++;
  };
  return counted;
}

/** A node whose daemon died after request "r1" created a sandbox and before it started it; the next daemon has taken over. */
async function diedBeforeStart(): Promise<TestNode> {
  const node = await TestNode.start();
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = (name) => {
    if (name !== "startContainer") return Promise.resolve();
    reached.resolve();
    return node.forever;
  };
  void node.ask(run, { requestId: "r1" });
  await reached.promise;
  await node.crash();
  node.guest.onCall = async () => undefined;
  return node;
}

/** The outcome of a repeat of "r1" whose caller leaves while another call holds the sandbox's lock. */
async function lockedOut(node: TestNode, command: typeof run | typeof runLarge) {
  const options = { name: "someone", signal: AbortSignal.timeout(10_000) };
  const held = await node.context.lock.acquire("s1", options);
  const patience = new AbortController();
  const asked = node.ask(command, { requestId: "r1", signal: patience.signal });
  setImmediate(() => {
    patience.abort(new PaddockError("DEADLINE", "too late"));
    held[Symbol.dispose]();
  });
  return await asked;
}

/** Settles when the sandbox's lock is free. */
async function calm(node: TestNode): Promise<void> {
  const options = { name: "look", signal: AbortSignal.timeout(5000) };
  await node.context.lock.with("s1", options, async () => undefined);
}

const textOf = (outcome: NamedOutcome): string =>
  outcome.case === "error"
    ? Buffer.concat(outcome.value.details.map(({ value }) => value)).toString("latin1")
    : "";

test("RunSandbox whose start fails leaves nothing", async () => {
  await using node = await TestNode.start();
  node.guest.onCall = async (name) => {
    if (name === "startContainer") throw new Error("it broke");
  };
  assert.equal((await node.ask({ case: "runSandbox", value: { spec } })).case, "error");
  assert.deepEqual(node.leftovers(), []);
});

test("a repeated RunSandbox answers with the running sandbox, even while another call holds its lock", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(runLarge, { requestId: "r1" }));
  const counted = countStarts(node);
  const again = sandboxIn(await lockedOut(node, runLarge));
  assert.equal(again.status?.state, SandboxState.RUNNING);
  assert.equal(counted.starts, 0);
});

test("a repeated RunSandbox does not boot a sandbox that was stopped in the meantime", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(runLarge, { requestId: "r1" }));
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  const again = sandboxIn(await node.ask(runLarge, { requestId: "r1" }));
  assert.equal(again.status?.state, SandboxState.STOPPED);
  assert.equal(node.machines.processes.size, 0);
});

test("a repeated RunSandbox does not resume a paused sandbox", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(runLarge, { requestId: "r1" }));
  sandboxIn(await node.ask({ case: "pauseSandbox", value: {} }));
  const again = sandboxIn(await node.ask(runLarge, { requestId: "r1" }));
  assert.equal(again.status?.state, SandboxState.PAUSED);
});

test("a RunSandbox whose daemon died before the start is finished by its repeat", async () => {
  await using node = await diedBeforeStart();
  assert.equal((await shown(node)).status?.state, SandboxState.READY);
  const again = sandboxIn(await node.ask(run, { requestId: "r1" }));
  assert.equal(again.status?.state, SandboxState.RUNNING);
  assert.equal(again.status?.containers[0]?.state, ContainerState.RUNNING);
});

test("a repeated RunSandbox that times out waiting for the lock keeps the sandbox", async () => {
  await using node = await diedBeforeStart();
  const outcome = await lockedOut(node, run);
  assert.match(textOf(outcome), /outcome.*unknown/s);
  await calm(node);
  assert.equal((await shown(node)).status?.state, SandboxState.READY);
  assert.equal(node.machines.processes.size, 1);
});

test("a repeated RunSandbox whose start fails keeps the sandbox, with an unknown outcome", async () => {
  await using node = await diedBeforeStart();
  node.guest.onCall = async (name) => {
    if (name === "startContainer") throw new Error("it broke");
  };
  const outcome = await node.ask(run, { requestId: "r1" });
  assert.match(textOf(outcome), /outcome.*unknown/s);
  assert.equal((await shown(node)).status?.state, SandboxState.READY);
  assert.equal(node.machines.processes.size, 1);
});

test("a stop that arrives while RunSandbox creates runs after its start", async () => {
  await using node = await TestNode.start();
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  node.guest.onCall = (name) => {
    if (name !== "createContainer") return Promise.resolve();
    reached.resolve();
    return goOn.promise;
  };
  const asked = node.ask(run);
  await reached.promise;
  const stopped = node.ask({ case: "stopSandbox", value: {} });
  goOn.resolve();
  assert.equal(sandboxIn(await asked).status?.state, SandboxState.RUNNING);
  assert.equal(sandboxIn(await stopped).status?.state, SandboxState.STOPPED);
  assert.equal((await shown(node)).status?.state, SandboxState.STOPPED);
  assert.equal(node.machines.processes.size, 0);
});

test("a deletion that arrives while RunSandbox creates deletes once, and each event is published once", async () => {
  await using node = await TestNode.start();
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  node.guest.onCall = (name) => {
    if (name !== "createContainer") return Promise.resolve();
    reached.resolve();
    return goOn.promise;
  };
  const asked = node.ask(run);
  await reached.promise;
  const deleted = node.ask({ case: "deleteSandbox", value: { force: true } });
  goOn.resolve();
  assert.equal(sandboxIn(await asked).status?.state, SandboxState.RUNNING);
  assert.equal((await deleted).case, "deleteSandbox");
  assert.deepEqual(node.leftovers(), []);
  const numbers = node.publishedChanges().map((change) => change.split(" ")[0]);
  assert.deepEqual(numbers, [...new Set(numbers)], "each event is published once");
});
