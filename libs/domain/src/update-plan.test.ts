import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PaddockError } from "./errors.ts";
import { type ContainerLimits, planUpdate } from "./update-plan.ts";

const former: ContainerLimits = {
  cpuQuotaUs: 50_000n,
  cpuPeriodUs: 50_000n,
  memoryBytes: 64n << 20n,
  hugepages: [{ pageBytes: 2n << 20n, limitBytes: 0n }],
  io: { readBytesPerSecond: 8192n },
};

test("an update of the shares keeps all other limits", () => {
  const { limits, asked } = planUpdate(former, { cpuShares: 512n });
  assert.deepEqual(limits, { ...former, cpuShares: 512n });
  assert.deepEqual(asked, [{ path: "cpu_shares", requested: 512n, former: undefined, changed: true }]);
});

test("disk rates and huge pages are merged one by one", () => {
  const { limits, asked } = planUpdate(former, {
    io: { writeOperationsPerSecond: 10n },
    hugepages: [{ pageBytes: 1n << 30n, limitBytes: -1n }],
  });
  assert.deepEqual(limits.io, { readBytesPerSecond: 8192n, writeOperationsPerSecond: 10n });
  assert.deepEqual(limits.hugepages, [
    { pageBytes: 2n << 20n, limitBytes: 0n },
    { pageBytes: 1n << 30n, limitBytes: -1n },
  ]);
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["hugepages.1073741824", "io.write_operations_per_second"],
  );
});

test("a repeated limit is reported as unchanged, and -1 or an empty list lifts a limit", () => {
  const { limits, asked } = planUpdate(former, {
    cpuQuotaUs: -1n,
    cpuPeriodUs: 50_000n,
    io: { readBytesPerSecond: -1n },
    cpusetCpus: "",
    oomKillAll: false,
  });
  assert.equal(limits.cpuQuotaUs, -1n);
  assert.deepEqual(limits.io, { readBytesPerSecond: -1n });
  assert.equal(limits.cpusetCpus, "");
  assert.deepEqual(
    asked.map(({ path, changed }) => [path, changed]),
    [
      ["cpu_quota_us", true],
      ["cpu_period_us", false],
      ["cpuset_cpus", true],
      ["oom_kill_all", true],
      ["io.read_bytes_per_second", true],
    ],
  );
});

test("an update that names nothing changes nothing", () => {
  assert.deepEqual(planUpdate(former, {}), { limits: former, asked: [] });
  assert.deepEqual(planUpdate({}, { hugepages: [], io: {} }), { limits: {}, asked: [] });
});

const wrong: [string, ContainerLimits, string][] = [
  ["a CPU the host lacks", { cpusetCpus: "0-2" }, "resources.cpuset_cpus"],
  ["an invalid list", { cpusetCpus: "1-" }, "resources.cpuset_cpus"],
  [
    "the same page size twice",
    {
      hugepages: [
        { pageBytes: 2n << 20n, limitBytes: 0n },
        { pageBytes: 2n << 20n, limitBytes: 1n },
      ],
    },
    "resources.hugepages",
  ],
];
for (const [what, update, field] of wrong)
  test(`an update that names ${what} is refused`, () => {
    assert.throws(
      () => planUpdate(former, update, "0-1"),
      (error: unknown) =>
        error instanceof PaddockError &&
        error.reason === "INVALID_FIELD" &&
        error.violations[0]?.field === field,
    );
  });

const value = fc.option(fc.bigInt({ min: -1n, max: 1n << 62n }), { nil: undefined });
const limits: fc.Arbitrary<ContainerLimits> = fc.record({
  cpuQuotaUs: value,
  cpuShares: value,
  memoryBytes: value,
  swapBytes: value,
  pids: value,
  io: fc.option(fc.record({ readBytesPerSecond: value, writeOperationsPerSecond: value }), {
    nil: undefined,
  }),
});

test("a repeated update changes nothing", () => {
  fc.assert(
    fc.property(limits, limits, (before, update) => {
      const once = planUpdate(before, update);
      const again = planUpdate(once.limits, update);
      assert.deepEqual(again.limits, once.limits);
      assert.ok(again.asked.every(({ changed }) => !changed));
    }),
  );
});
