import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerState, SandboxState, StopCause } from "@paddock/protocol";
import { withOperation } from "../record/sandbox-record.ts";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
const running = async (node: TestNode) => {
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  return sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
};
const shown = async (node: TestNode) => sandboxIn(await node.ask({ case: "getSandbox", value: {} }));

/** Settles when a container's phase is accepted. */
const reaches = (node: TestNode, accept: (container: { kind: string }) => boolean) =>
  node.context.sandboxes
    .require("s1")
    .reaches(({ containers }) => containers.some(({ phase }) => accept(phase)), AbortSignal.timeout(5000));

const reasonOf = (outcome: NamedOutcome): string => {
  if (outcome.case !== "error") return "no error";
  const text = Buffer.concat(outcome.value.details.map(({ value }) => value)).toString("latin1");
  return /[A-Z]{2,}(_[A-Z]+)+|CANCELLED/.exec(text)?.[0] ?? outcome.value.message;
};

test("a sandbox is created ready, runs when started, and is stopped with its containers", async () => {
  await using node = await TestNode.start();
  const created = sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  assert.equal(created.status?.state, SandboxState.READY);
  assert.equal(created.status?.containers[0]?.state, ContainerState.READY);
  const started = sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.equal(started.status?.state, SandboxState.RUNNING);
  assert.equal(started.status?.containers[0]?.state, ContainerState.RUNNING);
  const stopped = sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.equal(stopped.status?.state, SandboxState.STOPPED);
  assert.equal(stopped.status?.stopCause, StopCause.REQUESTED);
  const [container] = stopped.status?.containers ?? [];
  assert.equal(container?.exitStatus?.signal, 15);
  assert.equal(container?.stopCause, StopCause.REQUESTED);
  assert.equal(node.machines.processes.size, 0);
});

test("a stop of a guest that accepts no signal reports that, without exit statuses", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.guest.onCall = async (name) => {
    if (name === "killContainer") throw new Error("it is stuck");
  };
  const { status } = sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.equal(status?.state, SandboxState.STOPPED);
  assert.equal(status?.stopCause, StopCause.GUEST_UNRESPONSIVE);
  assert.notEqual(status?.stopEvidence, "");
  assert.equal(status?.containers[0]?.stopCause, StopCause.GUEST_UNRESPONSIVE);
  assert.equal(status?.containers[0]?.exitStatus, undefined);
  assert.equal(node.machines.processes.size, 0);
});

test("the exit of a container is recorded with its code and cause, and survives the daemon", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.guest.end("c1", { code: 137, signal: 9, oomKilled: true });
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  await node.crash();
  const [container] = (await shown(node)).status?.containers ?? [];
  assert.equal(container?.exitStatus?.code, 137);
  assert.equal(container?.exitStatus?.oomKilled, true);
  assert.equal(container?.stopCause, StopCause.GUEST_OOM);
});

test("an exit that happened while no daemon ran is recorded from the guest's list", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.guest.end("c1", { code: 3 }, true);
  const summary = await node.crash();
  assert.equal(summary.adopted, 1);
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  const status = (await shown(node)).status;
  assert.equal(status?.state, SandboxState.RUNNING);
  assert.equal(status?.containers[0]?.exitStatus?.code, 3);
});

test("a VM that vanishes stops the sandbox with cause and evidence, and without exit statuses", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.machines.lose(node.machines.only.identity.pid, "host_oom", "the host's kernel killed it");
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  const { status } = await shown(node);
  assert.equal(status?.state, SandboxState.STOPPED);
  assert.equal(status?.stopCause, StopCause.HOST_OOM);
  assert.equal(status?.stopEvidence, "the host's kernel killed it");
  assert.equal(status?.containers[0]?.stopCause, StopCause.HOST_OOM);
  assert.equal(status?.containers[0]?.exitStatus, undefined);
});

test("the loss of a VM while no daemon ran is recorded at the start", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.machines.lose(node.machines.only.identity.pid, "vm_lost");
  const summary = await node.crash();
  assert.equal(summary.lost, 1);
  assert.equal((await shown(node)).status?.stopCause, StopCause.VM_LOST);
});

test("a sandbox from an earlier boot of the host is stopped with that cause", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.bootId = "another boot";
  const summary = await node.crash();
  assert.equal(summary.hostRestarted, 1);
  assert.equal((await shown(node)).status?.stopCause, StopCause.HOST_RESTART);
});

test("resources without a record are swept, and resources of a record are not", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.cgroups.names.add("00000000000000aa");
  const summary = await node.crash();
  assert.equal(summary.swept, 1);
  assert.equal(summary.adopted, 1);
  assert.equal(node.machines.processes.size, 1);
  assert.equal(node.cgroups.names.size, 1);
});

test("an unreadable record is reported for its sandbox only, and can be deleted with force", async () => {
  await using node = await TestNode.start();
  await running(node);
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: {} } }, { sandboxId: "s2" }));
  node.corrupt("s1");
  const summary = await node.crash();
  assert.equal(summary.corrupt, 1);
  assert.equal(reasonOf(await node.ask({ case: "getSandbox", value: {} })), "RECORD_CORRUPT");
  assert.equal((await node.ask({ case: "getSandbox", value: {} }, { sandboxId: "s2" })).case, "getSandbox");
  assert.equal(reasonOf(await node.ask({ case: "createSandbox", value: { spec } })), "SANDBOX_EXISTS");
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.equal(node.machines.processes.size, 1, "the machine of s2");
  assert.equal(reasonOf(await node.ask({ case: "getSandbox", value: {} })), "SANDBOX_NOT_FOUND");
});

test("the user of a VM whose record cannot be read stays taken, because the VM may still run", async () => {
  await using node = await TestNode.start();
  await running(node);
  const { slot } = node.context.sandboxes.require("s1").record.vm;
  node.corrupt("s1");
  await node.crash();
  assert.equal(node.machines.processes.size, 1);
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: {} } }, { sandboxId: "s2" }));
  assert.notEqual(node.context.sandboxes.require("s2").record.vm.slot, slot);
});

test("the loss of a VM on a full disk is recorded once there is room", async () => {
  await using node = await TestNode.start();
  await running(node);
  const { store } = node.context;
  const refused = Promise.withResolvers<void>();
  const commit = store.commit.bind(store);
  store.commit = () => {
    refused.resolve();
    throw new Error("the disk is full");
  };
  node.machines.lose(node.machines.only.identity.pid, "vm_lost");
  await refused.promise;
  assert.equal((await shown(node)).status?.state, SandboxState.RUNNING);
  store.commit = commit;
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  assert.equal((await shown(node)).status?.stopCause, StopCause.VM_LOST);
});

test("a deletion that a crash interrupted is finished at the next start, and its repeat succeeds", async () => {
  await using node = await TestNode.start();
  await running(node);
  const remove = node.cgroups.remove.bind(node.cgroups);
  const reached = Promise.withResolvers<void>();
  node.cgroups.remove = () => {
    reached.resolve();
    return node.forever;
  };
  const deletion = { case: "deleteSandbox", value: { force: true } } as const;
  void node.ask(deletion, { requestId: "d1" });
  await reached.promise;
  node.cgroups.remove = remove;
  const summary = await node.crash();
  assert.equal(summary.deleted, 1);
  assert.deepEqual(node.leftovers(), []);
  assert.equal((await node.ask(deletion, { requestId: "d1" })).case, "deleteSandbox");
  assert.equal(reasonOf(await node.ask(deletion, { requestId: "d2" })), "SANDBOX_NOT_FOUND");
});

test("a stop that a crash interrupted is finished as a stop, not as the loss of a VM", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.context.sandboxes.require("s1").update((record) => withOperation(record, { kind: "stop" }));
  await node.crash();
  assert.equal((await shown(node)).status?.stopCause, StopCause.REQUESTED);
  assert.equal(node.machines.processes.size, 0);
  assert.deepEqual(node.operations(), []);
});

test("a running sandbox is deleted only with force", async () => {
  await using node = await TestNode.start();
  await running(node);
  assert.equal(reasonOf(await node.ask({ case: "deleteSandbox", value: {} })), "WRONG_STATE");
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.deepEqual(node.leftovers(), []);
});

test("a repeated deletion succeeds, that of another request does not", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  const deletion = { case: "deleteSandbox", value: {} } as const;
  assert.equal((await node.ask(deletion, { requestId: "d1" })).case, "deleteSandbox");
  assert.equal((await node.ask(deletion, { requestId: "d1" })).case, "deleteSandbox");
  assert.equal(reasonOf(await node.ask(deletion, { requestId: "d2" })), "SANDBOX_NOT_FOUND");
});

test("a repeated request id returns the same outcome, and is refused with another body", async () => {
  await using node = await TestNode.start();
  const create = { case: "createSandbox", value: { spec } } as const;
  const [first, second] = await Promise.all([
    node.ask(create, { requestId: "r1" }),
    node.ask(create, { requestId: "r1" }),
  ]);
  assert.deepEqual(sandboxIn(first), sandboxIn(second));
  assert.equal(node.machines.processes.size, 1);
  const other = { case: "createSandbox", value: { spec: { hostname: "other" } } } as const;
  assert.equal(reasonOf(await node.ask(other, { requestId: "r1" })), "REQUEST_ID_REUSED");
});

test("an id in use is refused, and its sandbox does not change", async () => {
  await using node = await TestNode.start();
  const before = await running(node);
  assert.equal(reasonOf(await node.ask({ case: "createSandbox", value: { spec } })), "SANDBOX_EXISTS");
  const again = { case: "createContainer", value: { spec: { containerId: "c1", image: "tiny" } } } as const;
  assert.equal(reasonOf(await node.ask(again)), "CONTAINER_EXISTS");
  assert.deepEqual((await shown(node)).status, before.status);
});

test("a sandbox that the host has no room for is refused before any change", async () => {
  await using node = await TestNode.start();
  const large = { resources: { memoryBytes: 2048n * 1024n * 1024n } };
  assert.equal(reasonOf(await node.ask({ case: "createSandbox", value: { spec: large } })), "NO_CAPACITY");
  assert.deepEqual(node.leftovers(), []);
});

test("a command of a placement that was superseded is refused", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }, { generation: 5n }));
  const outcome = await node.ask({ case: "stopSandbox", value: {} }, { generation: 4n });
  assert.equal(reasonOf(outcome), "STALE_GENERATION");
  assert.equal(reasonOf(await node.ask({ case: "getSandbox", value: {} })), "STALE_GENERATION");
});

test("a container is added to and deleted from a running sandbox, with its disks", async () => {
  await using node = await TestNode.start();
  await running(node);
  const create = { case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } } as const;
  assert.equal((await node.ask(create)).case, "createContainer");
  assert.deepEqual([...node.machines.only.devices.keys()], ["image0", "layer0", "image1", "layer1"]);
  assert.equal(
    (await node.ask({ case: "startContainer", value: { containerId: "c2" } })).case,
    "startContainer",
  );
  const remove = { case: "deleteContainer", value: { containerId: "c2" } } as const;
  assert.equal(reasonOf(await node.ask(remove)), "WRONG_STATE");
  assert.equal(
    (await node.ask({ case: "stopContainer", value: { containerId: "c2" } })).case,
    "stopContainer",
  );
  assert.equal((await node.ask(remove)).case, "deleteContainer");
  assert.deepEqual([...node.machines.only.devices.keys()], ["image0", "layer0"]);
  assert.equal(node.guest.containers.has("c2"), false);
});

test("a container whose creation fails in the guest leaves no disk behind, and does not change the sandbox", async () => {
  await using node = await TestNode.start();
  const before = await running(node);
  node.guest.onCall = async (name) => {
    if (name === "createContainer") throw new Error("it broke");
  };
  const create = { case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } } as const;
  assert.equal((await node.ask(create)).case, "error");
  assert.deepEqual([...node.machines.only.devices.keys()], ["image0", "layer0"]);
  assert.deepEqual((await shown(node)).status, before.status);
  assert.deepEqual(node.operations(), []);
});

test("the next daemon unplugs a container whose creation a crash interrupted", async () => {
  await using node = await TestNode.start();
  await running(node);
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = (name) => {
    if (name === "createContainer") reached.resolve();
    return name === "createContainer" ? node.forever : Promise.resolve();
  };
  void node.ask({ case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } });
  await reached.promise;
  assert.equal(node.machines.only.devices.size, 4);
  assert.equal((await node.crash()).adopted, 1);
  assert.deepEqual([...node.machines.only.devices.keys()], ["image0", "layer0"]);
  assert.deepEqual(node.operations(), []);
});

test("while a call that changes the sandbox hangs, its status is answered at once and names the holder of the lock", async () => {
  await using node = await TestNode.start();
  await running(node);
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = (name) => {
    if (name === "createContainer") reached.resolve();
    return node.forever;
  };
  void node.ask({ case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } });
  await reached.promise;
  const { status } = await shown(node);
  assert.equal(status?.lock?.holder, "CreateContainer");
  assert.equal(status?.state, SandboxState.RUNNING);
});

test("a paused sandbox can be stopped", async () => {
  await using node = await TestNode.start();
  await running(node);
  const paused = sandboxIn(await node.ask({ case: "pauseSandbox", value: {} }));
  assert.equal(paused.status?.state, SandboxState.PAUSED);
  assert.equal(
    paused.status?.containers[0]?.state,
    ContainerState.RUNNING,
    "a pause of the sandbox does not change it",
  );
  const stopped = sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.equal(stopped.status?.state, SandboxState.STOPPED);
});

test("every change is in the outbox, in order, with increasing numbers", async () => {
  await using node = await TestNode.start();
  await running(node);
  await node.ask({ case: "stopSandbox", value: {} });
  assert.deepEqual(node.publishedChanges(), [
    "1 sandboxState 1",
    "2 c1 containerState 1",
    "3 sandboxState 2",
    "4 c1 containerState 2",
    "5 sandboxState 3",
    "6 c1 processExited",
    "7 c1 containerState 4",
    "8 sandboxState 5",
  ]);
});
