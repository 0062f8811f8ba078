import assert from "node:assert/strict";
import { test } from "node:test";
import { type CpuLimits, cpuFiles, sharesOfWeight, weightOfShares } from "./cpu.ts";
import { cpusetFiles } from "./cpuset.ts";
import { memoryFiles, unreclaimableBytes } from "./memory.ts";
import { pidsFiles } from "./pids.ts";
import { keyedNumber } from "./usage.ts";

function written(files: readonly { file: string; value: string }[]): string[] {
  return files.map(({ file, value }) => `${file}=${value}`);
}

test("a CPU cap becomes quota and period under v1, and the period is never checked against an old quota", () => {
  assert.deepEqual(written(cpuFiles(1, { quotaUs: 150_000, periodUs: 50_000 })), [
    "cpu.cfs_burst_us=0",
    "cpu.cfs_quota_us=-1",
    "cpu.cfs_period_us=50000",
    "cpu.cfs_quota_us=150000",
  ]);
});

test("a CPU cap becomes one line under v2", () => {
  assert.deepEqual(written(cpuFiles(2, { quotaUs: 150_000 })), ["cpu.max.burst=0", "cpu.max=150000 100000"]);
});

test("a cap of null is written as no cap, and an absent cap writes nothing", () => {
  assert.deepEqual(written(cpuFiles(2, { quotaUs: null })), ["cpu.max.burst=0", "cpu.max=max 100000"]);
  assert.deepEqual(written(cpuFiles(1, { quotaUs: null })), [
    "cpu.cfs_burst_us=0",
    "cpu.cfs_quota_us=-1",
    "cpu.cfs_period_us=100000",
  ]);
  assert.deepEqual(cpuFiles(1, {}), []);
});

test("a burst is written last, because the kernel checks it against the quota, and is at most the quota", () => {
  assert.deepEqual(written(cpuFiles(2, { quotaUs: 50_000, burstUs: 50_000 })), [
    "cpu.max.burst=0",
    "cpu.max=50000 100000",
    "cpu.max.burst=50000",
  ]);
  assert.equal(written(cpuFiles(1, { quotaUs: 50_000, burstUs: 20_000 })).at(-1), "cpu.cfs_burst_us=20000");
  assert.throws(() => cpuFiles(2, { quotaUs: 50_000, burstUs: 50_001 }), { kind: "invalid" });
});

test("shares read from a weight map back to the same weight", () => {
  for (const weight of [1, 2, 39, 100, 9_999, 10_000])
    assert.equal(weightOfShares(sharesOfWeight(weight)), weight);
});

test("shares and weights meet at both ends of their ranges", () => {
  assert.equal(weightOfShares(2), 1);
  assert.equal(weightOfShares(262_144), 10_000);
  assert.equal(weightOfShares(1024), 39);
  assert.deepEqual(written(cpuFiles(1, { shares: 512 })), ["cpu.shares=512"]);
  assert.deepEqual(written(cpuFiles(2, { shares: 1024 })), ["cpu.weight=39"]);
});

const refusedCpu: CpuLimits[] = [
  { shares: 1 },
  { shares: 262_145 },
  { quotaUs: 999 },
  { quotaUs: 5000, periodUs: 1 },
];
for (const limits of refusedCpu) {
  test(`CPU limits out of the kernel's range are refused: ${JSON.stringify(limits)}`, () => {
    assert.throws(() => cpuFiles(2, limits), { kind: "invalid" });
  });
}

test("memory has a limit or none, and swap adds almost nothing", () => {
  assert.deepEqual(written(memoryFiles(1, { limitBytes: 4096 })), [
    "memory.limit_in_bytes=4096",
    "memory.memsw.limit_in_bytes=4198400",
    "memory.limit_in_bytes=4096",
  ]);
  assert.equal(written(memoryFiles(1, { limitBytes: null })).at(-1), "memory.limit_in_bytes=-1");
  assert.deepEqual(written(memoryFiles(2, { limitBytes: 4096 })), ["memory.swap.max=0", "memory.max=4096"]);
  assert.deepEqual(written(memoryFiles(2, { limitBytes: null })), ["memory.swap.max=max", "memory.max=max"]);
  for (const limitBytes of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => memoryFiles(2, { limitBytes }), { kind: "invalid" });
  }
});

test("cached files do not prevent a lower limit, all other memory does", () => {
  const stat = "anon 600\nfile 300\nshmem 100\ninactive_file 120\nactive_file 80\nslab_reclaimable 50\n";
  assert.equal(unreclaimableBytes("1000\n", stat), 750);
  assert.equal(unreclaimableBytes("100\n", stat), 0);
  assert.equal(unreclaimableBytes("1000\n", ""), 1000);
});

test("a CPU list is written, anything else is refused", () => {
  assert.deepEqual(written(cpusetFiles({ cpus: "0-3,8", mems: "0" })), [
    "cpuset.cpus=0-3,8",
    "cpuset.mems=0",
  ]);
  for (const cpus of ["", "0-", "a", "0\n1", "0,,1", "../x"]) {
    assert.throws(() => cpusetFiles({ cpus }), { kind: "invalid" });
  }
});

test("a process limit is written, zero is refused", () => {
  assert.deepEqual(written(pidsFiles({ max: 64 })), ["pids.max=64"]);
  assert.throws(() => pidsFiles({ max: 0 }), { kind: "invalid" });
});

test("a keyed figure is found by its whole key", () => {
  const text = "oom 1\noom_kill 7\noom_kill_disable 0";
  assert.equal(keyedNumber(text, "oom_kill"), "7");
  assert.equal(keyedNumber(text, "kill"), undefined);
  assert.equal(keyedNumber("oom_kill -1", "oom_kill"), undefined);
});
