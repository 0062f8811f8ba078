import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LAYER_BYTES, type StatedContainer, type StatedSandbox, sandboxDemand } from "./demand.ts";
import { PaddockError } from "./errors.ts";
import { MIB } from "./vm-size.ts";

const mib = (count: number): bigint => BigInt(count * MIB);
const demand = ({
  resources,
  containers = [],
}: {
  resources?: Partial<StatedSandbox["resources"]>;
  containers?: readonly StatedContainer[];
}) => {
  const size = { vcpus: 0, maxVcpus: 0, memoryBytes: 0n, maxMemoryBytes: 0n, ...resources };
  const { milliCpus, memoryBytes } = sandboxDemand({ resources: resources && size, containers }).room;
  return [milliCpus, memoryBytes / MIB];
};
const container = (cpuQuotaUs: bigint, memoryBytes: bigint, hugepageBytes = -1n): StatedContainer => ({
  resources: { cpuQuotaUs, memoryBytes, hugepages: [{ limitBytes: hugepageBytes }] },
});

test("a sandbox without resources needs the default size", () => {
  assert.deepEqual(demand({}), [1000, 256]);
  assert.deepEqual(demand({ containers: [container(-1n, -1n)] }), [1000, 256]);
});

test("a sandbox needs its containers' limits plus the guest overhead, and at least the size it names", () => {
  const containers = [container(150_000n, mib(300)), container(60_000n, mib(100), mib(64))];
  assert.deepEqual(demand({ containers }), [3000, 300 + 100 + 64 + 64]);
  assert.deepEqual(demand({ containers, resources: { vcpus: 2, memoryBytes: mib(128) } }), [3000, 528]);
  assert.deepEqual(demand({ containers, resources: { vcpus: 4, memoryBytes: mib(1024) } }), [4000, 1024]);
});

test("the maximum size is not part of the demand", () => {
  assert.deepEqual(demand({ resources: { maxVcpus: 240, maxMemoryBytes: mib(65_536) } }), [1000, 256]);
});

test("containers that exceed the VM's maximum are refused before any node is asked", () => {
  const containers = [container(300_000n, mib(300))];
  for (const resources of [{ maxVcpus: 2 }, { maxMemoryBytes: mib(320) }])
    assert.throws(
      () => demand({ containers, resources }),
      (error) => error instanceof PaddockError && error.reason === "NO_CAPACITY" && error.hint !== undefined,
    );
});

test("each container needs the disk of its writable layer, unless its root file system is read-only", () => {
  const disk = (...containers: StatedContainer[]) => sandboxDemand({ containers }).room.diskBytes;
  assert.equal(disk(), 0);
  assert.equal(disk({}, { writableLayerBytes: 0n }), 2 * DEFAULT_LAYER_BYTES);
  assert.equal(disk({ writableLayerBytes: mib(16) }, { readOnlyRootfs: true }), 16 * MIB);
});
