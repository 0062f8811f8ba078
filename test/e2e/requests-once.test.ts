import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { ContainerState, SandboxState } from "@paddock/protocol";
import { machinesOf } from "../harness/machines.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

/** Number of clients that send the same request at the same time. */
const MANY = 100;

let stack: Stack;
let image: string;
const soon = () => ({ deadline: inSeconds(120) });
const id = () => ({ requestId: randomUUID() });

/** Sends a call many times at once, and returns the single answer of all of them. */
async function agreed<T>(call: () => Promise<T>): Promise<T> {
  const answers = await Promise.all(Array.from({ length: MANY }, call));
  const [first] = answers;
  for (const answer of answers) assert.deepEqual(answer, first);
  return first ?? assert.fail("there is no answer");
}

before(async () => {
  stack = await Stack.start({}, { failpoints: true });
  image = await stack.tinyImage();
});
after(() => stack?.[Symbol.asyncDispose]());

test("a hundred calls with one request id create one sandbox and have one outcome, even after a kill of the daemon", async () => {
  const { sandboxes } = stack.client;
  const request = {
    ...id(),
    sandboxId: "once",
    spec: { containers: [{ containerId: "c1", image, process: idle }] },
  };
  const create = () => sandboxes.createSandbox(request, soon());
  const answer = await agreed(create);
  assert.equal(answer.sandbox?.status?.state, SandboxState.READY);
  const machines = machinesOf(stack.stateDirectory);
  assert.equal(machines.length, 1);
  const other = { ...request, spec: { ...request.spec, hostname: "other" } };
  await assert.rejects(sandboxes.createSandbox(other, soon()), { reason: "REQUEST_ID_REUSED" });

  await stack.killNode();
  await stack.startNode();
  assert.deepEqual(await agreed(create), answer);
  assert.deepEqual(machinesOf(stack.stateDirectory), machines);
  await assert.rejects(sandboxes.createSandbox(other, soon()), { reason: "REQUEST_ID_REUSED" });
});

test("a hundred calls during a kill and restart of the daemon have one outcome", async () => {
  const { containers } = stack.client;
  const request = { ...id(), sandboxId: "once", spec: { containerId: "c2", image, process: idle } };
  const { reached } = await stack.failpoints.arm("container/guest-container/after", "die");
  const first = Promise.allSettled(
    Array.from({ length: MANY }, () => containers.createContainer(request, soon())),
  );
  await reached;
  for (const { status } of await first) assert.equal(status, "rejected");
  await stack.startNode();
  const { container } = await agreed(() => containers.createContainer(request, soon()));
  assert.equal(container?.state, ContainerState.READY);
  const { sandbox } = await stack.client.sandboxes.getSandbox({ sandboxId: "once" });
  assert.deepEqual(
    sandbox?.status?.containers.map(({ containerId }) => containerId),
    ["c1", "c2"],
  );
});

test("a client that cancels does not affect the others with the same request", async () => {
  const { containers } = stack.client;
  const request = { ...id(), sandboxId: "once", spec: { containerId: "c3", image, process: idle } };
  const { reached } = await stack.failpoints.arm("container/disks/after", "hold");
  const client = new AbortController();
  const first = containers.createContainer(request, { ...soon(), signal: client.signal });
  first.catch(() => undefined);
  await reached;
  const others = Array.from({ length: 5 }, () => containers.createContainer(request, soon()));
  // After the others on the same connection, so that they have arrived when it is answered.
  await stack.client.sandboxes.getSandbox({ sandboxId: "once" });
  client.abort();
  await assert.rejects(first, { kind: "cancelled" });
  await stack.failpoints.release();
  for (const { container } of await Promise.all(others)) assert.equal(container?.state, ContainerState.READY);
});

test("a hundred equal stops, kills and deletions have one outcome, and new requests are NOT_FOUND after the deletion", async () => {
  const { sandboxes, containers } = stack.client;
  const sandboxId = "twice";
  await runIdle(stack, sandboxId);
  const at = { sandboxId, containerId: "c1" };
  const kill = { ...id(), ...at, signal: "KILL" };
  await agreed(() => containers.killContainer(kill, soon()));
  const removeContainer = { ...id(), ...at, force: true };
  await agreed(() => containers.deleteContainer(removeContainer, soon()));
  await agreed(() => containers.killContainer(kill, soon()));
  const stop = { ...id(), sandboxId };
  const stopped = await agreed(() => sandboxes.stopSandbox(stop, soon()));
  assert.equal(stopped.sandbox?.status?.state, SandboxState.STOPPED);
  const remove = { ...id(), sandboxId };
  await agreed(() => sandboxes.deleteSandbox(remove, soon()));

  // A repeat of the deletion succeeds. All other calls name a sandbox that does not exist.
  for (let round = 0; round < 3; round++) {
    await sandboxes.deleteSandbox(remove, soon());
    for (const gone of [
      () => sandboxes.stopSandbox(stop, soon()),
      () => sandboxes.stopSandbox({ ...id(), sandboxId }, soon()),
      () => sandboxes.startSandbox({ ...id(), sandboxId }, soon()),
      () => sandboxes.deleteSandbox({ ...id(), sandboxId }, soon()),
      () => sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon()),
      () => containers.killContainer({ ...id(), ...at }, soon()),
      () => containers.stopContainer({ ...id(), ...at }, soon()),
      () => containers.deleteContainer({ ...id(), ...at }, soon()),
      () => sandboxes.getSandbox({ sandboxId }),
    ])
      await assert.rejects(gone(), { reason: "SANDBOX_NOT_FOUND" });
    if (round > 0) continue;
    await stack.killNode();
    await stack.startNode();
  }
});
