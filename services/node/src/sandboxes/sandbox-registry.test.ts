import assert from "node:assert/strict";
import { test } from "node:test";
import { MIB, PaddockError } from "@paddock/domain";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { recordOf } from "../testing/record-of.ts";
import { TestNode } from "../testing/test-node.ts";
import { newVmId } from "../vm/vm-paths.ts";
import { SandboxEntry } from "./sandbox-entry.ts";
import { SandboxRegistry } from "./sandbox-registry.ts";

const DEMAND = { milliCpus: 500, memoryBytes: 10 * MIB, diskBytes: 5 * MIB };

/** A registry with this many sandboxes that counts how often a record is read and an id is hashed. */
function counted(node: TestNode, sandboxes: number) {
  let operations = 0;
  const nameOf = (sandboxId: string) => {
    operations += 1;
    return `name of ${sandboxId}`;
  };
  const watched = (record: SandboxRecord) =>
    new Proxy(record, {
      get: (target, key, receiver) => {
        operations += 1;
        return Reflect.get(target, key, receiver);
      },
    });
  const registry = new SandboxRegistry(64 * MIB, { nameOf });
  for (let each = 0; each < sandboxes; each++) {
    const record = { ...recordOf(`s${each}`, { kind: "ready" }), vm: { id: newVmId(), slot: each } };
    registry.add(new SandboxEntry(watched(record), node.context));
  }
  const during = (work: () => void) => {
    operations = 0;
    work();
    return operations;
  };
  return { registry, during };
}

test("a creation, a heartbeat, a page of the list and a deletion cost the same with ten and a thousand sandboxes", async () => {
  await using node = await TestNode.start();
  const few = counted(node, 10);
  const many = counted(node, 1000);
  const entry = () =>
    new SandboxEntry(
      { ...recordOf("new", { kind: "ready" }), vm: { id: newVmId(), slot: 5000 } },
      node.context,
    );
  const asked: Record<string, (registry: SandboxRegistry) => void> = {
    creation: (registry) => {
      registry.requireFree("new");
      registry.allocated();
      using _claim = registry.claim("new", DEMAND);
      registry.add(entry());
    },
    heartbeat: (registry) => [registry.allocated(), registry.size],
    page: (registry) => [...registry.after("s3").take(3)].map(({ record }) => record.phase),
    "use of an image": (registry) => registry.usesImage("sha256:none"),
    deletion: (registry) => registry.remove("new"),
  };
  for (const [what, ask] of Object.entries(asked)) {
    const operations = many.during(() => ask(many.registry));
    assert.equal(
      operations,
      few.during(() => ask(few.registry)),
      what,
    );
    assert.ok(operations <= 10, `a ${what} takes ${operations} operations`);
  }
});

test("the allocation follows each change of a record, and ends with the sandbox", async () => {
  await using node = await TestNode.start();
  const registry = new SandboxRegistry(64 * MIB);
  const entry = new SandboxEntry(recordOf("s1", { kind: "ready" }), node.context);
  const before = registry.allocated();
  {
    using claim = registry.claim("s1", DEMAND);
    assert.deepEqual(registry.allocated(), { ...DEMAND });
    assert.throws(() => registry.claim("s1", DEMAND), { reason: "SANDBOX_EXISTS" });
    assert.equal(claim.slot, 0);
    registry.add(entry);
  }
  const one = { milliCpus: 1000, memoryBytes: (256 + 64) * MIB, diskBytes: 1024 * MIB };
  assert.deepEqual(registry.allocated(), one);
  assert.ok(registry.usesImage("sha256:a"));
  {
    using _growth = registry.claimRoom(DEMAND);
    assert.equal(registry.allocated().milliCpus, 1500);
    assert.equal(registry.allocated().diskBytes, (1024 + 5) * MIB);
  }
  entry.update((record) => ({ ...record, size: { ...record.size, vcpus: 3, maxVcpus: 3 }, containers: [] }));
  assert.deepEqual(registry.allocated(), { ...one, milliCpus: 3000, diskBytes: 0 });
  assert.equal(registry.usesImage("sha256:a"), false);
  registry.remove("s1");
  assert.deepEqual([registry.allocated(), registry.size, registry.list()], [before, 0, []]);
  entry.update((record) => ({ ...record, size: { ...record.size, vcpus: 1 } }));
  assert.deepEqual(registry.allocated(), before);
  assert.equal(registry.claim("s1", DEMAND).slot, 0);
});

test("sandboxes are listed in order of id, from any id on", async () => {
  await using node = await TestNode.start();
  const registry = new SandboxRegistry(64 * MIB);
  for (const id of ["b", "d", "a", "c"])
    registry.add(new SandboxEntry(recordOf(id, { kind: "ready" }), node.context));
  registry.remove("b");
  const idsAfter = (id: string) => [...registry.after(id)].map(({ sandboxId }) => sandboxId);
  assert.deepEqual(["", "a", "b", "d"].map(idsAfter), [["a", "c", "d"], ["c", "d"], ["c", "d"], []]);
});

test("a sandbox whose record cannot be read keeps its id and its slot", () => {
  const registry = new SandboxRegistry(64 * MIB);
  registry.addCorrupt("s1", new PaddockError("RECORD_CORRUPT", "it cannot be read"), {
    id: newVmId(),
    slot: 0,
  });
  assert.throws(() => registry.requireFree("s1"), { reason: "SANDBOX_EXISTS" });
  assert.equal(registry.claim("s2", DEMAND).slot, 1);
  registry.remove("s1");
  registry.requireFree("s1");
});
