import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PaddockError } from "./errors.ts";
import { type ContainerDemand, demandedCpus, MIB, type VmSize, vmSize, wantedSize } from "./vm-size.ts";

const defaults = {
  vcpus: 1,
  maxVcpus: 2,
  vcpuLimit: 4,
  memoryBytes: 256 * MIB,
  maxMemoryBytes: 1024 * MIB,
  guestOverheadBytes: 64 * MIB,
};
const none = { vcpus: 0, maxVcpus: 0, memoryBytes: 0, containers: [] };

const refusal = (attempt: () => unknown): PaddockError => {
  try {
    attempt();
  } catch (error) {
    if (error instanceof PaddockError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

test("a VM without a requested size has the node's default size", () => {
  assert.deepEqual(vmSize(none, defaults), {
    vcpus: 1,
    maxVcpus: 2,
    memoryBytes: 256 * MIB,
    maxMemoryBytes: 1024 * MIB,
  });
});

test("a node without a maximum memory size lets no VM grow", () => {
  const { maxMemoryBytes: _, ...still } = defaults;
  assert.equal(vmSize(none, still).maxMemoryBytes, 256 * MIB);
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

test("8 and 4 CPUs beside a container without a quota are 12 vCPUs; the period of that container does not count", () => {
  const containers = [
    { cpuQuotaUs: 800_000, cpuPeriodUs: 100_000 },
    { cpuQuotaUs: 400_000, cpuPeriodUs: 100_000 },
    { cpuQuotaUs: 0, cpuPeriodUs: 100_000 },
  ];
  assert.equal(vmSize({ ...none, containers }, { ...defaults, vcpuLimit: 16 }).vcpus, 12);
});

test("ten tenths of a CPU are one vCPU despite floating-point error", () => {
  const containers = Array.from({ length: 30 }, () => ({ cpuQuotaUs: 10_000, cpuPeriodUs: 100_000 }));
  assert.notEqual(demandedCpus(containers), 3);
  assert.equal(vmSize({ ...none, containers }, defaults).vcpus, 3);
});

test("more vCPUs than allowed are refused with both numbers, not clipped", () => {
  const containers = [{ cpuQuotaUs: 500_000 }];
  for (const request of [
    { ...none, vcpus: 5 },
    { ...none, vcpus: 1, maxVcpus: 5 },
    { ...none, containers },
  ]) {
    const error = refusal(() => vmSize(request, defaults));
    assert.equal(error.reason, "NO_CAPACITY");
    assert.deepEqual(error.metadata, { needed_vcpus: "5", max_vcpus: "4" });
  }
  assert.equal(vmSize({ ...none, vcpus: 3 }, defaults).maxVcpus, 3);
  const held = refusal(() => vmSize({ ...none, vcpus: 1, maxVcpus: 1, containers }, defaults));
  assert.deepEqual(held.metadata, { needed_vcpus: "5", max_vcpus: "1" });
});

test("memory limits, including huge pages, raise the VM's memory above the requested size", () => {
  const containers = [{ memoryBytes: 300 * MIB }, { memoryBytes: -1, hugepageBytes: 2 * MIB }];
  assert.equal(vmSize({ ...none, containers }, defaults).memoryBytes, 366 * MIB);
  assert.equal(vmSize({ ...none, containers, memoryBytes: 128 * MIB }, defaults).memoryBytes, 366 * MIB);
  assert.equal(vmSize({ ...none, containers, memoryBytes: 512 * MIB }, defaults).memoryBytes, 512 * MIB);
});

test("memory limits beyond the VM's maximum are refused with both numbers", () => {
  const containers = [{ memoryBytes: 300 * MIB }];
  const error = refusal(() => vmSize({ ...none, containers, maxMemoryBytes: 256 * MIB }, defaults));
  assert.equal(error.reason, "NO_CAPACITY");
  assert.deepEqual(error.metadata, {
    needed_bytes: String(364 * MIB),
    max_memory_bytes: String(256 * MIB),
  });
});

test("a maximum below the requested boot size is refused with its field", () => {
  const contradictions = [
    ["spec.resources.max_vcpus", { ...none, vcpus: 3, maxVcpus: 2 }],
    ["spec.resources.max_memory_bytes", { ...none, memoryBytes: 256 * MIB, maxMemoryBytes: 128 * MIB }],
  ] as const;
  for (const [field, request] of contradictions) {
    const error = refusal(() => vmSize(request, defaults));
    assert.equal(error.reason, "INVALID_FIELD");
    assert.deepEqual(
      error.violations.map((violation) => violation.field),
      [field],
    );
  }
  const equal = { ...none, vcpus: 2, maxVcpus: 2, memoryBytes: 128 * MIB, maxMemoryBytes: 128 * MIB };
  assert.deepEqual(vmSize(equal, defaults).maxVcpus, 2);
});

const size: VmSize = { vcpus: 1, maxVcpus: 3, memoryBytes: 256 * MIB, maxMemoryBytes: 512 * MIB };
const wanted = (...containers: ContainerDemand[]) => wantedSize(containers, size, 64 * MIB);

test("a VM grows with its containers in whole blocks, and shrinks back to its boot size", () => {
  assert.deepEqual(wanted(), { vcpus: 1, memoryBytes: 256 * MIB });
  assert.deepEqual(wanted({ memoryBytes: 192 * MIB }), { vcpus: 1, memoryBytes: 256 * MIB });
  assert.deepEqual(wanted({ cpuQuotaUs: 150_000, memoryBytes: 192 * MIB + 1 }), {
    vcpus: 2,
    memoryBytes: 258 * MIB,
  });
});

test("a VM grows to exactly its maximum, and not by a byte or a thousandth of a CPU more", () => {
  assert.deepEqual(wanted({ cpuQuotaUs: 300_000, memoryBytes: 448 * MIB }), {
    vcpus: 3,
    memoryBytes: 512 * MIB,
  });
  const cpus = refusal(() => wanted({ cpuQuotaUs: 300_001 }));
  assert.deepEqual(cpus.metadata, { needed_vcpus: "4", max_vcpus: "3" });
  const memory = refusal(() => wanted({ memoryBytes: 448 * MIB + 1 }));
  assert.deepEqual(memory.metadata, {
    needed_bytes: String(514 * MIB),
    max_memory_bytes: String(512 * MIB),
  });
});

const container = fc.record({
  cpuQuotaUs: fc.integer({ min: -1, max: 200_000 }),
  cpuPeriodUs: fc.integer({ min: 1000, max: 1_000_000 }),
  memoryBytes: fc.integer({ min: -1, max: 2 ** 36 }),
});

test("the boot size for a set of containers is the wanted size for the same containers", () => {
  fc.assert(
    fc.property(fc.array(container, { maxLength: 8 }), (containers) => {
      const booted = vmSize({ ...none, containers }, { ...defaults, vcpuLimit: 1_000_000 });
      const { vcpus, memoryBytes } = booted;
      assert.equal(memoryBytes % MIB, 0);
      assert.deepEqual(wantedSize(containers, booted, 64 * MIB), { vcpus, memoryBytes });
    }),
  );
});

test("an additional container never reduces the wanted size", () => {
  const large = { ...size, maxVcpus: 1e9, maxMemoryBytes: 2 ** 50 };
  fc.assert(
    fc.property(fc.array(container, { minLength: 1, maxLength: 8 }), ([first, ...others]) => {
      const without = wantedSize(others, large, 64 * MIB);
      const all = wantedSize([first ?? {}, ...others], large, 64 * MIB);
      assert.ok(all.vcpus >= without.vcpus && all.memoryBytes >= without.memoryBytes);
    }),
  );
});
