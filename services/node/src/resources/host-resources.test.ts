import assert from "node:assert/strict";
import { test } from "node:test";
import { SandboxState } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import { newVmId } from "../vm/vm-paths.ts";
import type { HostResource } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
const createIt = { case: "createSandbox", value: { spec } } as const;

/** A resource that only the list knows. Its state outlives daemons. */
class Beacon implements HostResource {
  readonly name = "beacon";
  readonly outlivesStop: boolean;
  readonly lit = new Set<string>();
  onAcquire: () => Promise<void> = async () => undefined;

  constructor(outlivesStop: boolean) {
    this.outlivesStop = outlivesStop;
  }

  acquire: HostResource["acquire"] = async ({ vm }) => {
    this.lit.add(vm.id);
    await this.onAcquire();
  };
  release: HostResource["release"] = async ({ vm }) => void this.lit.delete(vm.id);
  listStrays: HostResource["listStrays"] = async (host, owned) => straysOf(host, [...this.lit], owned);
}

/** A node with one more resource in the middle of the list. */
async function withBeacon(outlivesStop = false): Promise<{ node: TestNode; beacon: Beacon }> {
  const node = await TestNode.start();
  const beacon = new Beacon(outlivesStop);
  node.resources.splice(3, 0, beacon);
  return { node, beacon };
}

test("a resource that is added to the list is acquired by a creation and released by a deletion", async () => {
  const { node: started, beacon } = await withBeacon();
  await using node = started;
  sandboxIn(await node.ask(createIt));
  assert.deepEqual([...beacon.lit], [node.context.sandboxes.require("s1").record.vm.id]);
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.deepEqual([...beacon.lit], []);
  assert.deepEqual(node.leftovers(), []);
});

for (const breakIt of ["before", "behind"] as const)
  test(`a creation that fails ${breakIt} the resource releases it`, async () => {
    const { node: started, beacon } = await withBeacon();
    await using node = started;
    const fail = async () => {
      throw new Error("it broke");
    };
    if (breakIt === "before") beacon.onAcquire = fail;
    else node.machines.onStart = fail;
    assert.equal((await node.ask(createIt)).case, "error");
    assert.deepEqual([...beacon.lit], []);
    assert.deepEqual(node.leftovers(), []);
  });

test("a daemon releases a resource if an earlier daemon died while acquiring it", async () => {
  const { node: started, beacon } = await withBeacon();
  await using node = started;
  const reached = Promise.withResolvers<void>();
  beacon.onAcquire = () => {
    reached.resolve();
    return node.forever;
  };
  void node.ask(createIt);
  await reached.promise;
  assert.equal(beacon.lit.size, 1);
  assert.equal((await node.crash()).undone, 1);
  assert.deepEqual([...beacon.lit], []);
  assert.deepEqual(node.leftovers(), []);
});

test("the sweep at the start releases resources without a record, and no others", async () => {
  const { node: started, beacon } = await withBeacon();
  await using node = started;
  sandboxIn(await node.ask(createIt));
  const { id } = node.context.sandboxes.require("s1").record.vm;
  beacon.lit.add(newVmId());
  const summary = await node.crash();
  assert.equal(summary.swept, 1);
  assert.equal(summary.adopted, 1);
  assert.deepEqual([...beacon.lit], [id]);
});

for (const outlivesStop of [true, false])
  test(`a stop ${outlivesStop ? "keeps" : "releases"} a resource that ${outlivesStop ? "outlives" : "does not outlive"} it, and the sandbox has it after a start`, async () => {
    const { node: started, beacon } = await withBeacon(outlivesStop);
    await using node = started;
    sandboxIn(await node.ask(createIt));
    sandboxIn(await node.ask({ case: "stopSandbox", value: { force: true } }));
    assert.equal(beacon.lit.size, outlivesStop ? 1 : 0);
    node.guest.reboot();
    const { status } = sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
    assert.equal(status?.state, SandboxState.RUNNING);
    assert.equal(beacon.lit.size, 1);
  });

test("the loss of a VM releases resources that do not outlive a stop", async () => {
  const { node: started, beacon } = await withBeacon();
  await using node = started;
  sandboxIn(await node.ask(createIt));
  node.machines.lose(node.machines.only.identity.pid, "vm_lost");
  const entry = node.context.sandboxes.require("s1");
  await entry.reaches(({ phase }) => phase.kind === "stopped", AbortSignal.timeout(5000));
  const options = { name: "look", signal: AbortSignal.timeout(5000) };
  await node.context.lock.with("s1", options, async () => undefined);
  assert.deepEqual([...beacon.lit], []);
});
