import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson } from "@bufbuild/protobuf";
import { agentpb, ContainerStatsSchema, DiskRole, ListProcessesResponseSchema } from "@paddock/protocol";
import { containerStats, cpuPercent } from "./container-stats.ts";
import { processEntries } from "./process-entry.ts";

const reading = (seconds: bigint, usageUs: bigint) =>
  containerStats(
    "c",
    create(agentpb.GetContainerStatsResponseSchema, { time: { seconds, nanos: 0 }, cpu: { usageUs } }),
  );

test("the working set is the usage without inactive page cache, and never negative", () => {
  const of = (usageBytes: bigint, inactiveFileBytes: bigint) =>
    containerStats(
      "c",
      create(agentpb.GetContainerStatsResponseSchema, {
        memory: { usageBytes, inactiveFileBytes, anonBytes: 3n },
      }),
    ).memory;
  assert.equal(of(100n, 30n)?.workingSetBytes, 70n);
  assert.equal(of(30n, 100n)?.workingSetBytes, 0n);
  assert.equal(of(100n, 30n)?.anonBytes, 3n);
});

test("CPU is in percent of one CPU, and 0 at first or if a guest's figures contradict each other", () => {
  assert.equal(cpuPercent(undefined, reading(1n, 5n)), 0);
  assert.equal(cpuPercent(reading(1n, 0n), reading(3n, 1_000_000n)), 50);
  assert.equal(cpuPercent(reading(1n, 0n), reading(2n, 2_000_000n)), 200);
  assert.equal(cpuPercent(reading(2n, 0n), reading(1n, 5n)), 0);
  assert.equal(cpuPercent(reading(1n, 5n), reading(2n, 0n)), 0);
});

test("a time that a Timestamp cannot hold is left out, so that the figures can be written as JSON", () => {
  const stats = reading(2n ** 62n, 1n);
  assert.equal(stats.time, undefined);
  assert.ok(toJson(ContainerStatsSchema, stats));
});

test("devices beyond the number that an honest guest can have are not shown", () => {
  const io = Array.from({ length: 1000 }, (_, minor) => ({ major: 8, minor }));
  assert.equal(containerStats("c", create(agentpb.GetContainerStatsResponseSchema, { io })).io.length, 256);
});

test("a disk is shown by its role in the container, with its queued requests", () => {
  const io = [
    { major: 8, minor: 0, target: 4, queued: 3n },
    { major: 8, minor: 16, target: 5 },
    { major: 8, minor: 32, target: -1 },
  ];
  const told = create(agentpb.GetContainerStatsResponseSchema, { io });
  const stats = containerStats("c", told, { lower: { target: 4 }, upper: { target: 5 } });
  assert.deepEqual(
    stats.io.map(({ role, queued }) => [role, queued]),
    [
      [DiskRole.IMAGE, 3n],
      [DiskRole.WRITABLE_LAYER, 0n],
      [DiskRole.UNSPECIFIED, 0n],
    ],
  );
});

test("figures of memory, interfaces and page sizes beyond the bounds are left out", () => {
  const many = Array.from({ length: 1000 }, (_, index) => index);
  const told = create(agentpb.GetContainerStatsResponseSchema, {
    memory: { stat: Object.fromEntries(many.map((index) => [`figure${index}`, 1n])) },
    network: many.map((index) => ({ name: `eth${index}\u001b[2J` })),
    hugepages: many.map((index) => ({ pageBytes: BigInt(index) })),
  });
  const stats = containerStats("c", told);
  assert.equal(Object.keys(stats.memory?.stat ?? {}).length, 128);
  assert.equal(stats.network.length, 64);
  assert.ok(!stats.network[0]?.name.includes("\u001b"));
  assert.equal(stats.hugepages.length, 4);
});

test("texts of a process are bounded and have no control characters", () => {
  const [entry] = processEntries([
    create(agentpb.ProcessEntrySchema, {
      pid: 1,
      guestPid: 99,
      command: "\u001b[31mroot\n",
      args: Array.from({ length: 1000 }, () => "x".repeat(10_000)),
      startedAt: { seconds: -(2n ** 62n), nanos: 5 },
    }),
  ]);
  assert.equal(entry?.command, "[31mroot");
  assert.equal(entry?.args.length, 256);
  assert.ok((entry?.args[0]?.length ?? 0) < 5000);
  assert.ok(
    toJson(
      ListProcessesResponseSchema,
      create(ListProcessesResponseSchema, { processes: entry ? [entry] : [] }),
    ),
  );
});
