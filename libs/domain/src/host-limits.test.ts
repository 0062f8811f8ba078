import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCpuList } from "./cpu-list.ts";
import { type CpuCap, hostLimits } from "./host-limits.ts";
import { type ContainerDemand, demandedCpus, MIB } from "./vm-size.ts";

const vm = { vcpus: 2, memoryBytes: 256 * MIB, overheadBytes: 64 * MIB };
const cpu = (cpuQuotaUs?: number, cpuPeriodUs?: number): ContainerDemand => ({ cpuQuotaUs, cpuPeriodUs });
const capOf = (containers: readonly ContainerDemand[]): CpuCap | undefined => hostLimits(containers, vm).cpu;

const caps: [string, readonly ContainerDemand[], [number, number] | undefined][] = [
  ["6 CPUs and 1 CPU", [cpu(600_000, 100_000), cpu(100_000, 100_000)], [700_000, 100_000]],
  ["none constrained", [cpu(), cpu()], [200_000, 100_000]],
  ["no container at all", [], [200_000, 100_000]],
  ["1 CPU beside a container that names no CPU limit", [cpu(100_000, 100_000), cpu()], undefined],
  ["1 of 1 CPUs in two periods", [cpu(50_000, 50_000), cpu(100_000, 100_000)], [200_000, 100_000]],
  ["1 CPU beside a quota of -1", [cpu(100_000, 100_000), cpu(-1)], undefined],
  ["1 CPU beside a quota of 0", [cpu(100_000, 100_000), cpu(0)], undefined],
  ["a quota of -1 alone", [cpu(-1)], [200_000, 100_000]],
  ["a period alone", [cpu(undefined, 100_000)], [200_000, 100_000]],
  ["a quota without a period", [cpu(50_000)], [50_000, 100_000]],
  ["a common period", [cpu(5_000, 20_000), cpu(20_000, 20_000)], [25_000, 20_000]],
  ["8, 4 and unlimited CPUs", [cpu(800_000, 100_000), cpu(400_000, 100_000), cpu(0, 100_000)], undefined],
  ["thirds and halves", [cpu(1_000, 3_000), cpu(1_000, 2_000)], [83_330, 99_996]],
  ["a sum too small for a period of 100000", [cpu(1_000, 1_000_000), cpu(1_000, 500_000)], [1_002, 334_000]],
  [
    "periods whose common multiple the kernel does not accept",
    [cpu(500_000, 999_983), cpu(500_000, 999_979)],
    [100_001, 100_000],
  ],
];
for (const [what, containers, expected] of caps)
  test(`the CPU cap of ${what} is ${expected?.join("/") ?? "none"}`, () => {
    assert.deepEqual(capOf(containers), expected && { quotaUs: expected[0], periodUs: expected[1] });
  });

test("shares add up, a container without shares counts 1024, and the sum stays in the kernel's range", () => {
  const shares = (...values: (number | undefined)[]) =>
    hostLimits(
      values.map((cpuShares) => ({ cpuShares })),
      vm,
    ).cpuShares;
  assert.equal(shares(1024, 2048), 3072);
  assert.equal(shares(undefined, 2048), 3072);
  assert.equal(shares(2), 2);
  assert.equal(shares(), 1024);
  assert.equal(shares(262_144, 2), 262_144);
});

test("the CPUs of a sandbox are the union, or all CPUs when one container names none", () => {
  const cpuset = (...lists: (string | undefined)[]) =>
    hostLimits(
      lists.map((cpusetCpus) => ({ cpusetCpus })),
      vm,
    ).cpuset;
  assert.equal(cpuset("8,0-1", "2,1"), "0-2,8");
  assert.equal(cpuset("0-1", undefined), undefined);
  assert.equal(cpuset("0-1", ""), undefined);
  assert.equal(cpuset(), undefined);
});

test("the memory of a sandbox is the guest's plus the overhead, independent of its containers' limits", () => {
  assert.equal(hostLimits([{ memoryBytes: 16 * MIB }], vm).memoryBytes, 320 * MIB);
  assert.equal(hostLimits([], vm).memoryBytes, 320 * MIB);
});

const limited = fc.record({
  cpuQuotaUs: fc.integer({ min: 1000, max: 100_000_000 }),
  cpuPeriodUs: fc.oneof(fc.constantFrom(10_000, 50_000, 100_000), fc.integer({ min: 1000, max: 1_000_000 })),
  cpuShares: fc.option(fc.integer({ min: 2, max: 262_144 }), { nil: undefined }),
  cpusetCpus: fc.option(fc.constantFrom("0", "0-3", "2,5", "7"), { nil: undefined }),
});
const anyContainer = fc.oneof(
  limited,
  limited.map((demand) => ({ ...demand, cpuQuotaUs: -1 })),
);
const cpus = (cap: CpuCap): number => cap.quotaUs / cap.periodUs;

test("the order of containers does not matter", () => {
  const shuffled = fc
    .array(anyContainer, { maxLength: 6 })
    .chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })),
    );
  fc.assert(
    fc.property(shuffled, ([containers, again]) => {
      assert.deepEqual(hostLimits(again, vm), hostLimits(containers, vm));
    }),
  );
});

test("a cap never exceeds the sum of the quotas, is less than a microsecond below it, and is in the kernel's range", () => {
  fc.assert(
    fc.property(fc.array(limited, { minLength: 1, maxLength: 6 }), (containers) => {
      const cap = capOf(containers);
      assert.ok(cap);
      assert.ok(Number.isInteger(cap.quotaUs) && cap.quotaUs >= 1000);
      assert.ok(Number.isInteger(cap.periodUs) && cap.periodUs >= 1000 && cap.periodUs <= 1_000_000);
      const missingUs = (demandedCpus(containers) - cpus(cap)) * cap.periodUs;
      assert.ok(missingUs > -1e-3 && missingUs < 1, `${missingUs}`);
    }),
  );
});

test("the cap never rises when one of several limited containers stops", () => {
  fc.assert(
    fc.property(fc.array(limited, { minLength: 2, maxLength: 6 }), (containers) => {
      const [all, fewer] = [capOf(containers), capOf(containers.slice(1))];
      assert.ok(all && fewer);
      assert.ok(cpus(fewer) <= cpus(all) + 1 / all.periodUs);
    }),
  );
});

test("one unlimited container beside limited ones means no cap", () => {
  fc.assert(
    fc.property(fc.array(limited, { minLength: 1, maxLength: 6 }), (containers) => {
      assert.equal(capOf([...containers, { cpuQuotaUs: -1 }]), undefined);
    }),
  );
});

test("the union contains every CPU that a container names", () => {
  fc.assert(
    fc.property(fc.array(limited, { minLength: 1, maxLength: 6 }), (containers) => {
      const { cpuset } = hostLimits(containers, vm);
      const union = new Set(parseCpuList(cpuset ?? ""));
      for (const { cpusetCpus } of containers)
        assert.ok(cpuset === undefined || parseCpuList(cpusetCpus ?? "").every((one) => union.has(one)));
    }),
  );
});
