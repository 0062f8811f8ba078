import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { admit, demandedCpus, type HostRoom, MIB, requireFits, vmSize } from "./admission.ts";
import { PaddockError } from "./errors.ts";

const defaults = {
  vcpus: 1,
  maxVcpus: 2,
  vcpuLimit: 4,
  memoryBytes: 256 * MIB,
  guestOverheadBytes: 64 * MIB,
};
const none = { vcpus: 0, maxVcpus: 0, memoryBytes: 0, containers: [] };

const reasonOf = (attempt: () => unknown): string => {
  try {
    attempt();
  } catch (error) {
    if (error instanceof PaddockError) return error.reason;
    throw error;
  }
  return "accepted";
};

test("a VM of which nothing is said has the node's default size", () => {
  assert.deepEqual(vmSize(none, defaults), { vcpus: 1, maxVcpus: 2, memoryBytes: 256 * MIB });
});

test("CPU quotas of containers with different periods add up as ratios", () => {
  const containers = [
    { cpuQuotaUs: 50_000, cpuPeriodUs: 100_000 },
    { cpuQuotaUs: 30_000, cpuPeriodUs: 20_000 },
    { cpuQuotaUs: -1 },
  ];
  assert.equal(demandedCpus(containers), 2);
  assert.equal(vmSize({ ...none, containers }, defaults).vcpus, 2);
});

test("more vCPUs than allowed is refused, not clipped", () => {
  const containers = [{ cpuQuotaUs: 500_000 }];
  assert.equal(
    reasonOf(() => vmSize({ ...none, vcpus: 5 }, defaults)),
    "NO_CAPACITY",
  );
  assert.equal(
    reasonOf(() => vmSize({ ...none, vcpus: 1, maxVcpus: 5 }, defaults)),
    "NO_CAPACITY",
  );
  assert.equal(vmSize({ ...none, vcpus: 3 }, defaults).maxVcpus, 3);
  assert.equal(
    reasonOf(() => vmSize({ ...none, containers }, defaults)),
    "NO_CAPACITY",
  );
});

test("memory limits raise the VM's memory, and a VM given less than its containers' limits is refused", () => {
  const containers = [{ memoryBytes: 300 * MIB }, { memoryBytes: -1 }];
  assert.equal(vmSize({ ...none, containers }, defaults).memoryBytes, 364 * MIB);
  assert.equal(
    reasonOf(() => vmSize({ ...none, containers, memoryBytes: 256 * MIB }, defaults)),
    "NO_CAPACITY",
  );
});

test("whatever is computed for containers is a size they fit in", () => {
  const container = fc.record({
    cpuQuotaUs: fc.integer({ min: -1, max: 200_000 }),
    cpuPeriodUs: fc.integer({ min: 1000, max: 1_000_000 }),
    memoryBytes: fc.integer({ min: -1, max: 2 ** 40 }),
  });
  fc.assert(
    fc.property(fc.array(container, { maxLength: 8 }), (containers) => {
      const size = vmSize({ ...none, containers }, { ...defaults, vcpuLimit: 1_000_000 });
      requireFits(containers, size);
      assert.equal(size.memoryBytes % MIB, 0);
    }),
  );
});

test("a host promises memory once, CPUs up to its capacity, and keeps its disk floor", () => {
  const host: HostRoom = {
    capacity: { milliCpus: 2000, memoryBytes: 1024 * MIB, diskBytes: 0 },
    allocated: { milliCpus: 1000, memoryBytes: 512 * MIB, diskBytes: 0 },
    freeDiskBytes: 10 * MIB,
    diskFloorBytes: 5 * MIB,
  };
  const demand = { milliCpus: 1000, memoryBytes: 512 * MIB, diskBytes: 0 };
  assert.equal(
    reasonOf(() => admit(demand, host)),
    "accepted",
  );
  assert.equal(
    reasonOf(() => admit({ ...demand, memoryBytes: 512 * MIB + 1 }, host)),
    "NO_CAPACITY",
  );
  assert.equal(
    reasonOf(() => admit({ ...demand, milliCpus: 1001 }, host)),
    "NO_CAPACITY",
  );
  assert.equal(
    reasonOf(() => admit(demand, { ...host, freeDiskBytes: 4 * MIB })),
    "NO_DISK_SPACE",
  );
});
