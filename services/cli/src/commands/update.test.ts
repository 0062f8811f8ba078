import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  ResourceEffect,
  type ResourceOutcomeSchema,
  type UpdateContainerRequest,
} from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

type Outcome = MessageInitShape<typeof ResourceOutcomeSchema>;

const MIB = 1024n * 1024n;
const { LIVE, NEXT_START } = ResourceEffect;
const number = (value: bigint) => ({ value: { case: "number" as const, value } });
const text = (value: string) => ({ value: { case: "text" as const, value } });

/** An api with one sandbox that accepts updates. Its container has a memory limit of `memoryBytes`. */
async function fixture(outcomes: readonly Outcome[] = [], memoryBytes?: bigint) {
  const api = await FakeApi.start();
  const containers = [{ containerId: "main", ...(memoryBytes && { resources: { memoryBytes } }) }];
  serveSandboxes(api, [{ sandboxId: "web", status: { sandboxId: "web", containers } }]);
  const asked: UpdateContainerRequest[] = [];
  api.unary(ContainerService.method.updateContainer, (request) => {
    asked.push(request);
    return { outcomes: [...outcomes] };
  });
  return { api, asked, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

const rowsOf = (table: string): string[][] =>
  table
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {3,}/));

test("update sends only the limits that were given", async () => {
  await using f = await fixture();
  const words = ["--cpus", "1.5", "--cpu-shares", "512", "--cpuset-cpus", "0-1", "-m", "512m"];
  const more = ["--pids-limit", "100", "--hugepages", "2MiB=64m", "--hugepages", "1GiB=none"];
  const io = ["--io-read-bps", "1m", "--io-write-iops", "none", "--no-oom-kill-all"];
  assert.equal((await cli(f.api, ["update", "web", ...words, ...more, ...io])).code, 0);
  const [first] = f.asked;
  assert.deepEqual([first?.sandboxId, first?.containerId], ["web", "main"]);
  const limits = first?.resources;
  assert.deepEqual([limits?.cpuQuotaUs, limits?.cpuPeriodUs], [150_000n, 100_000n]);
  assert.deepEqual([limits?.cpuShares, limits?.cpusetCpus], [512n, "0-1"]);
  assert.deepEqual([limits?.memoryBytes, limits?.swapBytes, limits?.pids], [512n * MIB, undefined, 100n]);
  assert.deepEqual(
    limits?.hugepages.map(({ pageBytes, limitBytes }) => [pageBytes, limitBytes]),
    [
      [2n * MIB, 64n * MIB],
      [1024n * MIB, -1n],
    ],
  );
  assert.equal(limits?.io?.readBytesPerSecond, MIB);
  assert.equal(limits?.io?.writeOperationsPerSecond, -1n);
  assert.equal(limits?.io?.writeBytesPerSecond, undefined);
  assert.equal(limits?.oomKillAll, false);
  await cli(f.api, ["update", "web/main", "--cpus", "none", "--memory", "-1", "--cpuset-cpus", "all"]);
  const lifted = f.asked[1]?.resources;
  assert.deepEqual([lifted?.cpuQuotaUs, lifted?.memoryBytes, lifted?.cpusetCpus], [-1n, -1n, ""]);
  assert.deepEqual([lifted?.pids, lifted?.io, lifted?.oomKillAll], [undefined, undefined, undefined]);
});

test("--memory-swap is memory and swap together: swap is what exceeds the memory, given or in force", async () => {
  await using f = await fixture([], 64n * MIB);
  for (const words of [
    ["-m", "128m", "--memory-swap", "128m"],
    ["--memory-swap", "96m"],
  ])
    assert.equal((await cli(f.api, ["update", "web", ...words])).code, 0);
  await cli(f.api, ["update", "web", "--memory-swap", "none"]);
  assert.deepEqual(
    f.asked.map(({ resources }) => resources?.swapBytes),
    [0n, 32n * MIB, -1n],
  );
  const little = await cli(f.api, ["update", "web", "--memory-swap", "32m"]);
  assert.deepEqual([little.code, f.asked.length], [2, 3]);
  await using unlimited = await fixture();
  const { code, err } = await cli(unlimited.api, ["update", "web", "--memory-swap", "96m"]);
  assert.equal(code, 2);
  assert.match(err, /there is no --memory/);
});

test("update shows each limit in the units of the command line, and how pending ones take effect", async () => {
  await using f = await fixture([
    { field: "cpu_quota_us", requested: number(150_000n), inForce: number(150_000n), effect: LIVE },
    { field: "cpu_period_us", requested: number(100_000n), inForce: number(100_000n), effect: LIVE },
    { field: "cpuset_cpus", requested: text("0-1"), inForce: text("0-1"), effect: LIVE },
    {
      field: "memory_bytes",
      requested: number(512n * MIB),
      inForce: number(64n * MIB),
      effect: NEXT_START,
      reason: "no\x07",
    },
    { field: "pids", requested: number(-1n), inForce: number(-1n), effect: LIVE },
    { field: "io.read_bytes_per_second", requested: number(MIB), inForce: number(MIB), effect: LIVE },
    { field: "io.write_operations_per_second", requested: number(-1n), inForce: number(-1n), effect: LIVE },
    {
      field: "hugepages.2097152",
      requested: number(64n * MIB),
      inForce: number(-1n),
      effect: NEXT_START,
      reason: "later",
    },
    { field: "oom_kill_all", requested: number(1n), inForce: number(1n), effect: LIVE },
    {
      field: "vm.vcpus",
      requested: number(2n),
      inForce: number(1n),
      effect: NEXT_START,
      reason: "it may not",
    },
    { field: "of_another_time", requested: number(7n), inForce: number(7n), effect: LIVE },
  ]);
  const { code, out, err } = await cli(f.api, ["update", "web", "--cpus", "1.5"]);
  assert.equal(code, 0);
  assert.deepEqual(rowsOf(out), [
    ["RESOURCE", "REQUESTED", "IN FORCE", "EFFECT", "REASON"],
    ["cpus", "1.5", "1.5", "live", "-"],
    ["cpuset", "0-1", "0-1", "live", "-"],
    ["memory", "512MiB", "64.0MiB", "next start", "no\\x07"],
    ["pids", "none", "none", "live", "-"],
    ["io read", "1.00MiB/s", "1.00MiB/s", "live", "-"],
    ["io writes", "none", "none", "live", "-"],
    ["hugepages of 2.00MiB", "64.0MiB", "none", "next start", "later"],
    ["oom kill all", "yes", "yes", "live", "-"],
    ["vcpus of the VM", "2", "1", "next start", "it may not"],
    ["of_another_time", "7", "7", "live", "-"],
  ]);
  assert.match(err, /note: .*"paddock stop web" and "paddock start web"/);
});

test("a quota and a period with different outcomes are two rows", async () => {
  await using f = await fixture([
    { field: "cpu_quota_us", requested: number(50_000n), inForce: number(50_000n), effect: LIVE },
    {
      field: "cpu_period_us",
      requested: number(100_000n),
      inForce: number(50_000n),
      effect: NEXT_START,
      reason: "later",
    },
  ]);
  const { out } = await cli(f.api, ["update", "web", "--cpus", "0.5"]);
  assert.deepEqual(rowsOf(out).slice(1), [
    ["cpus", "0.5", "1", "live", "-"],
    ["cpu period", "100000 us", "50000 us", "next start", "later"],
  ]);
});

test("update -o json prints the response", async () => {
  await using f = await fixture([
    { field: "pids", requested: number(9n), inForce: number(9n), effect: LIVE },
  ]);
  const { out, err } = await cli(f.api, ["update", "-q", "-o", "json", "web", "--pids-limit", "9"]);
  assert.deepEqual(JSON.parse(out).outcomes, [
    { field: "pids", requested: { number: "9" }, inForce: { number: "9" }, effect: "RESOURCE_EFFECT_LIVE" },
  ]);
  assert.equal(err, "");
});

test("a refused update is an error with the limit and a hint", async () => {
  await using refusing = await FakeApi.start();
  serveSandboxes(refusing, [fakeSandbox("web")]);
  refusing.unary(ContainerService.method.updateContainer, () => {
    throw new PaddockError("NO_CAPACITY", "the VM needs 9 vCPUs and may have 4", { hint: "ask for fewer" });
  });
  const { code, out, err } = await cli(refusing, ["update", "web", "--cpus", "9"]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(
    err,
    /^error: cannot update container "web\/main": the VM needs 9 vCPUs and may have 4\nhint: ask/,
  );
});

for (const { words, says } of [
  { words: [], says: /there is nothing to change/ },
  { words: ["--cpus", "0.001"], says: /is not a number of CPUs/ },
  { words: ["--cpu-shares", "1"], says: /a whole number from 2 to 262144/ },
  { words: ["--cpuset-cpus", "1-"], says: /is not a list of CPUs/ },
  { words: ["--memory", "1m"], says: /at least "4m"/ },
  { words: ["--pids-limit", "0"], says: /a whole number from 1/ },
  { words: ["--hugepages", "4MiB=8m"], says: /2 MiB or 1 GiB/ },
  { words: ["--hugepages", "2MiB"], says: /is not a limit of huge pages/ },
  { words: ["--io-read-bps", "1k"], says: /at least "4k"/ },
  { words: ["--io-read-iops", "1.5"], says: /a whole number from 1 to 4294967295/ },
]) {
  test(`"update web ${words.join(" ")}" is refused before any call`, async () => {
    await using f = await fixture();
    const { code, err } = await cli(f.api, ["update", "web", ...words]);
    assert.deepEqual([code, f.api.calls], [2, []]);
    assert.match(err, says);
  });
}
