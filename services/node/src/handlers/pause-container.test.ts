import assert from "node:assert/strict";
import { test } from "node:test";
import { agentpb, ContainerState } from "@paddock/protocol";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const C1 = { containerId: "c1" };
const PAUSE = { case: "pauseContainer", value: C1 } as const;
const RESUME = { case: "resumeContainer", value: C1 } as const;

async function running(): Promise<TestNode> {
  const node = await TestNode.start();
  const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "runSandbox", value: { spec } }));
  return node;
}

const stateIn = (outcome: NamedOutcome) => {
  assert.ok(outcome.case === "pauseContainer" || outcome.case === "resumeContainer");
  return outcome.value.container?.state;
};

const recorded = async (node: TestNode) =>
  sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.containers[0]?.state;

/** Settles when the sandbox's lock is free. */
async function calm(node: TestNode): Promise<void> {
  const options = { name: "look", signal: AbortSignal.timeout(5000) };
  await node.context.lock.with("s1", options, async () => undefined);
}

/** Calls as a client that leaves while the guest executes the call; the guest continues. */
async function leave(node: TestNode, command: typeof PAUSE | typeof RESUME): Promise<void> {
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  node.guest.onCall = (name) => {
    if (name !== command.case) return Promise.resolve();
    reached.resolve();
    return goOn.promise;
  };
  const client = new AbortController();
  const asked = node.ask(command, { signal: client.signal });
  await reached.promise;
  client.abort(new Error("left"));
  setImmediate(goOn.resolve);
  await asked;
  await calm(node);
  node.guest.onCall = async () => undefined;
}

/** From now on the guest executes calls but its answers are lost. */
function loseAnswers(node: TestNode): void {
  node.guest.onCall = async (name) => {
    const container = node.guest.containers.get("c1");
    if (container === undefined) return;
    if (name === "pauseContainer") container.state = agentpb.ContainerState.PAUSED;
    else if (name === "resumeContainer") container.state = agentpb.ContainerState.RUNNING;
    else return;
    throw new Error("the answer was lost");
  };
}

test("when the client leaves during a pause, the container can be resumed afterwards", async () => {
  await using node = await running();
  await leave(node, PAUSE);
  assert.equal(await recorded(node), ContainerState.PAUSED);
  assert.equal(stateIn(await node.ask(RESUME)), ContainerState.RUNNING);
  assert.equal(node.guest.containers.get("c1")?.state, agentpb.ContainerState.RUNNING);
});

test("when the client leaves during a resume, the container can be paused afterwards", async () => {
  await using node = await running();
  await node.ask(PAUSE);
  await leave(node, RESUME);
  assert.equal(await recorded(node), ContainerState.RUNNING);
  assert.equal(stateIn(await node.ask(PAUSE)), ContainerState.PAUSED);
  assert.equal(node.guest.containers.get("c1")?.state, agentpb.ContainerState.PAUSED);
});

test("a pause and a resume whose answers are lost succeed, because the guest is asked for the state", async () => {
  await using node = await running();
  loseAnswers(node);
  assert.equal(stateIn(await node.ask(PAUSE)), ContainerState.PAUSED);
  assert.equal(stateIn(await node.ask(RESUME)), ContainerState.RUNNING);
});

test("a pause that the guest refuses fails, and the record has the state that the guest reports", async () => {
  await using node = await running();
  node.guest.onCall = async (name) => {
    if (name !== "pauseContainer") return;
    node.guest.end("c1", { code: 3 }, true);
    throw new Error("it is stopped, not running");
  };
  assert.equal((await node.ask(PAUSE)).case, "error");
  assert.equal(await recorded(node), ContainerState.STOPPED);
});

test("a pause is repeated when the link to the guest breaks, because the guest may still be executing it", async () => {
  await using node = await running();
  let asked = 0;
  node.guest.onCall = async (name) => {
    if (name !== "pauseContainer" || ++asked > 1) return;
    node.guest.dropLink();
    await node.forever;
  };
  assert.equal(stateIn(await node.ask(PAUSE)), ContainerState.PAUSED);
  assert.equal(asked, 2);
});
