import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerState, SandboxState, StopCause } from "@paddock/protocol";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const spec = { containers: [{ containerId: "c1", image: "tiny" }] };

async function running(): Promise<TestNode> {
  const node = await TestNode.start();
  sandboxIn(await node.ask({ case: "runSandbox", value: { spec } }));
  return node;
}

const stateOf = (outcome: NamedOutcome) => sandboxIn(outcome).status?.state;

const FAILED_PRECONDITION = 9;

test("a resumed guest gets its identity again, because its clock has stopped", async () => {
  await using node = await running();
  let configured = 0;
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") configured++;
  };
  assert.equal(stateOf(await node.ask({ case: "pauseSandbox", value: {} })), SandboxState.PAUSED);
  assert.equal(node.machines.only.paused, true);
  assert.equal(configured, 0);
  assert.equal(stateOf(await node.ask({ case: "resumeSandbox", value: {} })), SandboxState.RUNNING);
  assert.equal(node.machines.only.paused, false);
  assert.equal(configured, 1);
});

test("a guest that cannot set its clock is resumed all the same", async () => {
  await using node = await running();
  await node.ask({ case: "pauseSandbox", value: {} });
  node.guest.onCall = async () => {
    throw new Error("no clock");
  };
  assert.equal(stateOf(await node.ask({ case: "resumeSandbox", value: {} })), SandboxState.RUNNING);
});

test("pausing a paused sandbox and resuming a running one succeed", async () => {
  await using node = await running();
  assert.equal(stateOf(await node.ask({ case: "resumeSandbox", value: {} })), SandboxState.RUNNING);
  await node.ask({ case: "pauseSandbox", value: {} });
  assert.equal(stateOf(await node.ask({ case: "pauseSandbox", value: {} })), SandboxState.PAUSED);
});

test("after a client leaves during a pause, VM and record have the same state", async () => {
  await using node = await running();
  const leaving = new AbortController();
  const asked = node.ask({ case: "pauseSandbox", value: {} }, { signal: leaving.signal });
  leaving.abort(new Error("gone"));
  await asked;
  const { record } = node.context.sandboxes.require("s1");
  assert.equal(record.phase.kind === "paused", node.machines.only.paused);
});

test("after a crash between pausing the VM and recording it, the VM gets the state of the record", async () => {
  await using node = await running();
  node.machines.only.paused = true;
  await node.crash();
  assert.equal(node.machines.only.paused, false);
  await node.ask({ case: "pauseSandbox", value: {} });
  node.machines.only.paused = false;
  await node.crash();
  assert.equal(node.machines.only.paused, true);
  assert.equal(stateOf(await node.ask({ case: "getSandbox", value: {} })), SandboxState.PAUSED);
});

test("calls that need the guest are refused while the sandbox is paused", async () => {
  await using node = await running();
  await node.ask({ case: "pauseSandbox", value: {} });
  const c1 = { containerId: "c1" };
  const refused = await Promise.all([
    node.ask({ case: "startSandbox", value: {} }),
    node.ask({ case: "deleteSandbox", value: {} }),
    node.ask({ case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } }),
    node.ask({ case: "startContainer", value: c1 }),
    node.ask({ case: "stopContainer", value: c1 }),
    node.ask({ case: "deleteContainer", value: { ...c1, force: true } }),
    node.ask({ case: "killContainer", value: c1 }),
    node.ask({ case: "pauseContainer", value: c1 }),
    node.ask({ case: "resumeContainer", value: c1 }),
    node.ask({ case: "getContainerStats", value: c1 }),
    node.ask({ case: "listProcesses", value: c1 }),
    node.ask({ case: "signalProcess", value: { ...c1, execId: "c1", signal: "TERM" } }),
    node.ask({ case: "resizeTty", value: { ...c1, execId: "c1", size: { rows: 1, columns: 1 } } }),
  ]);
  for (const outcome of refused) {
    assert.ok(outcome.case === "error");
    assert.equal(outcome.value.code, FAILED_PRECONDITION, outcome.value.message);
    assert.match(outcome.value.message, /the sandbox is paused/);
  }
});

test("a paused sandbox is deleted with force, and nothing of it is left", async () => {
  await using node = await running();
  await node.ask({ case: "pauseSandbox", value: {} });
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.deepEqual(node.leftovers(), []);
});

test("a ready sandbox is deleted together with its VM", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  assert.equal(node.machines.processes.size, 1);
  assert.equal((await node.ask({ case: "deleteSandbox", value: {} })).case, "deleteSandbox");
  assert.deepEqual(node.leftovers(), []);
});

test("stopping a container that was never started ends its waiting init", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  const outcome = await node.ask({ case: "stopContainer", value: { containerId: "c1" } });
  assert.ok(outcome.case === "stopContainer");
  const { container } = outcome.value;
  assert.equal(container?.state, ContainerState.STOPPED);
  assert.equal(container?.stopCause, StopCause.REQUESTED);
  assert.equal(container?.exitStatus?.signal, 9, "the guest reported its end");
});
