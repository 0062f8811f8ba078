/** Sandboxes whose containers use all CPU time that they get, and measurements of what the host gives them. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { HostStats } from "@paddock/protocol";
import { HostCgroup } from "./host-cgroup.ts";
import type { ContainerInit } from "./sandbox.ts";
import { inSeconds, type Stack } from "./stack.ts";

/** A process of `threads` endless loops. */
export const busy = (threads: number) => ({
  args: [
    "sh",
    "-c",
    `i=1; while [ $i -lt ${threads} ]; do (while :; do :; done) & i=$((i+1)); done; while :; do :; done`,
  ],
});

/** Runs a sandbox with these containers, by default of the small image. The VM has at least `vcpus` vCPUs. */
export async function runContainers(
  stack: Stack,
  sandboxId: string,
  containers: readonly ContainerInit[],
  vcpus = 0,
): Promise<HostCgroup> {
  const image = await stack.tinyImage();
  const spec = {
    resources: { vcpus },
    containers: containers.map((container) => ({ image, ...container })),
  };
  await stack.client.sandboxes.runSandbox(
    { requestId: randomUUID(), sandboxId, spec },
    { deadline: inSeconds(180) },
  );
  return new HostCgroup(stack.stateDirectory, sandboxId);
}

/** CPUs in use, on average over a window. */
export type CpuUse = {
  /** Of the vCPU threads, by the kernel's count. */
  readonly vcpus: number;
  /** The same by GetSandboxStats. */
  readonly reported: number;
  /** Of the whole sandbox with QEMU's own threads, by the kernel's count. */
  readonly sandbox: number;
  /** Of everything else on the host. A cap is not at fault if the host has no CPU time left. */
  readonly others: number;
  /** Share of the periods in which the cap was reached, 0 to 1. */
  readonly throttled: number;
};

/** Measures a sandbox for `windowMs`. */
export async function cpuUse(
  stack: Stack,
  sandboxId: string,
  cgroup: HostCgroup,
  windowMs: number,
): Promise<CpuUse> {
  const before = { ...(await reportedOf(stack, sandboxId)), ...readAll(cgroup) };
  await delay(windowMs);
  const reported = await reportedOf(stack, sandboxId);
  const after = { ...reported, ...readAll(cgroup) };
  const us = after.atUs - before.atUs;
  const reportedUs = after.toldAtUs - before.toldAtUs;
  const vcpus = (after.vcpus.usageUs - before.vcpus.usageUs) / us;
  const sandbox = (after.sandboxUs - before.sandboxUs) / us;
  const periods = after.vcpus.periods - before.vcpus.periods;
  return {
    vcpus,
    reported: (after.reportedVcpuUs - before.reportedVcpuUs) / reportedUs,
    sandbox,
    others: Math.max(0, (after.hostUs - before.hostUs) / us - sandbox),
    throttled: periods && (after.vcpus.throttledPeriods - before.vcpus.throttledPeriods) / periods,
  };
}

const readAll = (cgroup: HostCgroup) => ({
  vcpus: cgroup.vcpus(),
  sandboxUs: cgroup.usageUs(),
  hostUs: hostBusyUs(),
  atUs: performance.now() * 1000,
});

async function reportedOf(stack: Stack, sandboxId: string) {
  const { stats } = await stack.client.sandboxes.getSandboxStats({ sandboxId }, { deadline: inSeconds(30) });
  const { time, vcpuUsageUs = 0n }: Partial<HostStats> = stats?.host ?? {};
  if (!time) throw new Error(`no host figures of ${sandboxId}`);
  const toldAtUs = Number(time.seconds) * 1e6 + time.nanos / 1000;
  return { toldAtUs, reportedVcpuUs: Number(vcpuUsageUs) };
}

/** Time that the host's CPUs were not idle, in microseconds. User time includes that of guests. */
function hostBusyUs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync(
    "/proc/stat",
    "utf8",
  )
    .split("\n", 1)
    .flatMap((line) => line.trim().split(/\s+/).slice(1).map(Number));
  return (user + nice + system + irq + softirq + steal) * 10_000;
}

export const hostCpus = (): number => availableParallelism();
