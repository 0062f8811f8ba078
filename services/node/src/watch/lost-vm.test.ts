import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { fromStatus } from "@paddock/protocol";
import { permitsContainer } from "../sandboxes/permits.ts";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

async function running(node: TestNode): Promise<void> {
  const containers = [{ containerId: "c1", image: "tiny" }];
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
}

const reasonOf = (outcome: NamedOutcome) =>
  outcome.case === "error" ? fromStatus(outcome.value) : assert.fail(`${outcome.case}, no error`);

const entryOf = (node: TestNode) => node.context.sandboxes.require("s1");

/** Ends the VM and waits until its loss is recorded. */
async function lose(node: TestNode): Promise<void> {
  node.machines.lose(node.machines.only.identity.pid, "vm_lost", "QEMU was ended by SIGKILL\nlast lines: x");
  const isStopped = ({ phase }: { phase: { kind: string } }) => phase.kind === "stopped";
  assert.ok(await entryOf(node).reaches(isStopped, AbortSignal.timeout(10_000)), "the loss is recorded");
}

test("calls that need a lost VM fail with the loss and its evidence", async () => {
  await using node = await TestNode.start();
  await running(node);
  await lose(node);
  const refused = [
    reasonOf(await node.ask({ case: "startContainer", value: { containerId: "c1" } })),
    reasonOf(await node.ask({ case: "pauseSandbox", value: {} })),
    reasonOf(await node.ask({ case: "listProcesses", value: { containerId: "c1" } })),
    reasonOf(await node.ask({ case: "getContainerStats", value: { containerId: "c1" } })),
    reasonOf(
      await node.ask({ case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } }),
    ),
  ];
  for (const work of [() => permitsContainer(entryOf(node), "c1", "exec"), () => entryOf(node).agent])
    assert.throws(work, (error) => error instanceof PaddockError && refused.push(error) > 0);
  for (const { reason, message, metadata } of refused) {
    assert.equal(reason, "VM_UNAVAILABLE", message);
    assert.match(message, /was lost \(vm_lost\): QEMU was ended by SIGKILL$/);
    assert.equal(metadata?.evidence, "QEMU was ended by SIGKILL\nlast lines: x");
  }
  assert.equal(refused.length, 7);
});

test("a sandbox stopped on request is reported as stopped, not lost", async () => {
  await using node = await TestNode.start();
  await running(node);
  sandboxIn(await node.ask({ case: "stopSandbox", value: { force: true } }));
  assert.equal(reasonOf(await node.ask({ case: "pauseSandbox", value: {} })).reason, "WRONG_STATE");
  assert.throws(() => entryOf(node).agent, { reason: "WRONG_STATE" });
});

test("a deletion that could not be recorded does not hide a later loss of the VM", async (t) => {
  await using node = await TestNode.start();
  await running(node);
  const commit = t.mock.method(node.context.store, "commit", () => {
    throw new PaddockError("NO_DISK_SPACE", "the disk is full");
  });
  const refused = reasonOf(await node.ask({ case: "deleteSandbox", value: { force: true } }));
  assert.equal(refused.reason, "NO_DISK_SPACE");
  commit.mock.restore();
  await lose(node);
  const { phase } = entryOf(node).record;
  assert.ok(phase.kind === "stopped" && phase.cause === "vm_lost");
});

test("a container creation that a crash interrupted is undone even if taking over the VM fails at first", async () => {
  await using node = await TestNode.start();
  await running(node);
  const asked = Promise.withResolvers<void>();
  node.guest.onCall = async (call) => {
    if (call !== "createContainer") return;
    asked.resolve();
    await node.forever;
  };
  const cut = node.ask({ case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } });
  cut.catch(() => undefined);
  await asked.promise;
  node.guest.onCall = async () => undefined;
  const before = [...node.machines.only.devices.keys()];
  assert.ok(before.includes("image1"));
  let tries = 0;
  node.machines.onAdopt = async () => {
    if (tries++ === 0) throw new PaddockError("VM_UNAVAILABLE", "the monitor does not answer");
  };
  assert.equal((await node.crash()).failed, 1);
  assert.notDeepEqual(node.operations(), [], "the operation is still noted");
  const { promise: undone, resolve } = Promise.withResolvers<void>();
  const look = setInterval(() => node.operations().length === 0 && resolve(), 50);
  await undone.finally(() => clearInterval(look));
  assert.deepEqual([...node.machines.only.devices.keys()].sort(), ["image0", "layer0"]);
  node.guest.onCall = async () => undefined;
  const again = await node.ask({
    case: "createContainer",
    value: { spec: { containerId: "c3", image: "tiny" } },
  });
  assert.equal(again.case, "createContainer");
});
