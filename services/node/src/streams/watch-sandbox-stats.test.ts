import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { agentpb } from "@paddock/protocol";
import { NO_FIGURES } from "../testing/fake-machines.ts";
import { MACHINE, SANDBOX, testBed } from "../testing/stream-test-bed.ts";

const interval = { seconds: 0n, nanos: 100_000_000 };
const request = { sandboxId: SANDBOX, interval };

test("figures of host, guest and containers are separate, each with its source, and CPU is that between two readings", async () => {
  await using bed = await testBed({
    routes: (router) => {
      router.service(agentpb.SandboxService, {
        getGuest: () => ({ guest: { onlineCpus: 2, memoryTotalBytes: 5n } }),
      });
      router.service(agentpb.ContainerService, { getContainerStats: () => ({ cpu: { usageUs: 7n } }) });
    },
  });
  let readings = 0;
  bed.cgroups.usage = async () => {
    readings += 1;
    bed.nowMs.value = readings * 1000;
    return { ...NO_FIGURES, cpuUs: BigInt(readings) * 500_000n, periods: 9n, oomKills: 1n };
  };
  const seen = [];
  for await (const response of bed.streams.watchSandboxStats(request)) {
    seen.push(response);
    if (seen.length === 2) break;
  }
  assert.deepEqual(
    seen.map((each) => each?.cpuPercent),
    [0, 50],
  );
  assert.equal(seen[1]?.stats?.host?.source, "host cgroup v2");
  assert.equal(seen[1]?.stats?.host?.cpu?.periods, 9n);
  assert.equal(seen[1]?.stats?.host?.memory?.oomKills, 1n);
  assert.equal(seen[1]?.stats?.host?.declaredOverheadBytes, BigInt(1 << 20));
  assert.equal(seen[1]?.stats?.guest?.source, "guest");
  assert.equal(seen[1]?.stats?.containers[0]?.cpu?.usageUs, 7n);
});

test("without an answer of the guest there are only the host's figures", async () => {
  await using bed = await testBed({
    routes: (router) =>
      router.service(agentpb.SandboxService, {
        getGuest: () => {
          throw new Error("no");
        },
      }),
  });
  for await (const { stats } of bed.streams.watchSandboxStats(request)) {
    assert.ok(stats?.host);
    assert.equal(stats.guest, undefined);
    assert.deepEqual(stats.containers, []);
    break;
  }
});

test("a paused sandbox has only its host's figures, a stopped one is refused", async () => {
  await using bed = await testBed({
    routes: (router) => {
      router.service(agentpb.SandboxService, { getGuest: () => ({ guest: { onlineCpus: 2 } }) });
      router.service(agentpb.ContainerService, { getContainerStats: () => ({ cpu: { usageUs: 7n } }) });
    },
  });
  const seen: [number | undefined, number][] = [];
  for await (const { stats } of bed.streams.watchSandboxStats(request)) {
    assert.ok(stats?.host);
    const figures: (typeof seen)[number] = [stats.guest?.onlineCpus, stats.containers.length];
    // Readings in flight when the phase changed are like the previous one.
    if (isDeepStrictEqual(figures, seen.at(-1))) continue;
    seen.push(figures);
    if (seen.length === 1) bed.sandboxPhase = { kind: "paused", machine: MACHINE, startedAtMs: 1 };
    if (seen.length === 2) bed.sandboxPhase = { kind: "running", machine: MACHINE, startedAtMs: 1 };
    if (seen.length === 3)
      bed.sandboxPhase = { kind: "stopped", cause: "requested", evidence: "", stoppedAtMs: 2 };
  }
  assert.deepEqual(
    seen,
    [
      [2, 1],
      [undefined, 0],
      [2, 1],
    ],
    "the stream continues after the resume and ends with the stop",
  );
  await assert.rejects(
    async () => {
      for await (const _ of bed.streams.watchSandboxStats(request));
    },
    { reason: "WRONG_STATE" },
  );
});

test("a sandbox that does not exist has no figures", async () => {
  await using bed = await testBed();
  await assert.rejects(
    async () => {
      for await (const _ of bed.streams.watchSandboxStats({ ...request, sandboxId: "none" }));
    },
    { reason: "SANDBOX_NOT_FOUND" },
  );
});
