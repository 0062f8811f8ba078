import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MIB, PaddockError } from "@paddock/domain";
import { SandboxSpecSchema } from "@paddock/protocol";
import { sandboxDemand } from "./sandbox-demand.ts";

const mib = (count: number): bigint => BigInt(count * MIB);
const demand = (spec: Exclude<MessageInitShape<typeof SandboxSpecSchema>, { $typeName: string }>) => {
  const { milliCpus, memoryBytes } = sandboxDemand(create(SandboxSpecSchema, spec));
  return [milliCpus, memoryBytes / MIB];
};
const container = (containerId: string, cpuQuotaUs: bigint, memoryBytes: bigint, hugepageBytes = -1n) => ({
  containerId,
  resources: { cpuQuotaUs, memoryBytes, hugepages: [{ pageBytes: mib(2), limitBytes: hugepageBytes }] },
});

test("a sandbox that says nothing needs what a node gives by default", () => {
  assert.deepEqual(demand({}), [1000, 256]);
  assert.deepEqual(demand({ containers: [container("a", -1n, -1n)] }), [1000, 256]);
});

test("it needs what its containers may use together and what its guest needs, at least what it names", () => {
  const containers = [container("a", 150_000n, mib(300)), container("b", 60_000n, mib(100), mib(64))];
  assert.deepEqual(demand({ containers }), [3000, 300 + 100 + 64 + 64]);
  assert.deepEqual(demand({ containers, resources: { vcpus: 2, memoryBytes: mib(128) } }), [3000, 528]);
  assert.deepEqual(demand({ containers, resources: { vcpus: 4, memoryBytes: mib(1024) } }), [4000, 1024]);
});

test("what it may grow to is not set aside for it", () => {
  assert.deepEqual(demand({ resources: { maxVcpus: 240, maxMemoryBytes: mib(65_536) } }), [1000, 256]);
});

test("containers that need more than their VM may ever have are refused before any node is asked", () => {
  const containers = [container("a", 300_000n, mib(300))];
  for (const resources of [{ maxVcpus: 2 }, { maxMemoryBytes: mib(320) }])
    assert.throws(
      () => demand({ containers, resources }),
      (error) => error instanceof PaddockError && error.reason === "NO_CAPACITY" && error.hint !== undefined,
    );
});
