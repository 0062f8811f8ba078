import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  agentpb,
  ContainerStatsSchema,
  GetSandboxStatsResponseSchema,
  ListProcessesResponseSchema,
} from "@paddock/protocol";
import { AgentLink } from "../agent/agent-link.ts";
import { FakeAgent } from "../agent/fake-agent.ts";
import { containerStats, cpuPercent } from "./container-stats.ts";
import { processEntries } from "./process-entry.ts";
import { type HostFigures, readSandboxStats } from "./sandbox-stats.ts";

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

test("CPU is in percent of one CPU, 0 at first and when a guest's figures contradict each other", () => {
  assert.equal(cpuPercent(undefined, reading(1n, 5n)), 0);
  assert.equal(cpuPercent(reading(1n, 0n), reading(3n, 1_000_000n)), 50);
  assert.equal(cpuPercent(reading(1n, 0n), reading(2n, 2_000_000n)), 200);
  assert.equal(cpuPercent(reading(2n, 0n), reading(1n, 5n)), 0);
  assert.equal(cpuPercent(reading(1n, 5n), reading(2n, 0n)), 0);
});

test("a time that no Timestamp may hold is left out, so that figures can be written as JSON", () => {
  const stats = reading(2n ** 62n, 1n);
  assert.equal(stats.time, undefined);
  assert.ok(toJson(ContainerStatsSchema, stats));
});

test("more devices than a guest can honestly have are not shown", () => {
  const io = Array.from({ length: 1000 }, (_, minor) => ({ major: 8, minor }));
  assert.equal(containerStats("c", create(agentpb.GetContainerStatsResponseSchema, { io })).io.length, 256);
});

test("a process's texts come without control characters, and bounded", () => {
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

const figures: HostFigures = {
  usage: { cpuNs: 5_000_000n, memoryBytes: 300, pids: 4 },
  readAtMs: 1000,
  guestMemoryBytes: 256,
  memoryLimitBytes: 512,
  cpuQuotaUs: 0,
  cpuPeriodUs: 100_000,
};

test("a sandbox's figures are the host's, the guest's and its containers'", async () => {
  await using fake = await FakeAgent.start({
    routes: (router) =>
      router.service(agentpb.ContainerService, {
        getContainerStats: ({ containerId }) => {
          if (containerId === "gone") throw new Error("no such container");
          return { cpu: { usageUs: 7n } };
        },
      }),
  });
  using link = new AgentLink({ socketPath: fake.socketPath });
  const stats = await readSandboxStats(
    { host: async () => figures, link, containerIds: ["a", "gone"], nowMs: () => 5 },
    AbortSignal.timeout(5000),
  );
  assert.equal(stats.host?.cpuUsageUs, 5000n);
  assert.equal(stats.host?.memoryOverheadBytes, 44n);
  assert.deepEqual(
    stats.containers.map(({ containerId, cpu }) => [containerId, cpu?.usageUs]),
    [["a", 7n]],
  );
  assert.ok(stats.guest);
  assert.ok(toJson(GetSandboxStatsResponseSchema, stats));
});

test("a guest that is gone hides nothing of what its VM costs", async () => {
  using link = new AgentLink({ socketPath: "/nonexistent/agent.sock" });
  link.close(new PaddockError("VM_UNAVAILABLE", "gone"));
  const stats = await readSandboxStats(
    { host: async () => figures, link, containerIds: ["a"], nowMs: () => 5 },
    AbortSignal.timeout(5000),
  );
  assert.equal(stats.host?.threads, 4);
  assert.equal(stats.guest, undefined);
  assert.deepEqual(stats.containers, []);
});
