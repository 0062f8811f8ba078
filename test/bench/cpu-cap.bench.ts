/**
 * Whether a sandbox gets the CPU time its containers are entitled to, measured by the host's kernel.
 *
 * 1. A container that asks for more than its quota of 0.5, 1 and 2 CPUs gets the quota within 3 %. The usage of the sandbox's vCPU
 *    threads, to which the cap applies, is read over windows of 10 s from their cgroup and by GetSandboxStats. It is compared
 *    with the CPU time that was available: a quota of all CPUs of the host cannot include the time that QEMU itself and others use.
 *    The usage of the whole sandbox, including QEMU's own work, is printed.
 * 2. Two sandboxes with shares 1:3 on one CPU get 1:3 of it within 10 %.
 * 3. The cap in the kernel changes within 1 s of the start of an UpdateContainer and of a DeleteContainer.
 *
 * A busy host cannot provide the whole quota. So only the quietest windows count, and the usage of others in them is printed.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { busy, type CpuUse, cpuUse, hostCpus, runContainers } from "../harness/cpu-load.ts";
import type { HostCgroup } from "../harness/host-cgroup.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { median, report, type Series, type Target } from "./report.ts";

const PERIOD_US = 100_000;
const WINDOW_MS = 10_000;
const WINDOWS = 3;
/** Windows in which others used more than this are repeated, at most `ATTEMPTS` times. The quietest ones count. */
const QUIET_CPUS = 0.05;
const ATTEMPTS = 9;
/** Time for loads to start, and for the first periods to end. */
const SETTLE_MS = 3000;

const series: Series[] = [];
const targets: Target[] = [];
const others: number[] = [];

const quota = (cpus: number) => ({ cpuQuotaUs: BigInt(cpus * PERIOD_US), cpuPeriodUs: BigInt(PERIOD_US) });

async function remove(sandboxId: string): Promise<void> {
  await stack.client.sandboxes.deleteSandbox(
    { requestId: randomUUID(), sandboxId, force: true },
    { deadline: inSeconds(60) },
  );
}

async function held(cpus: number): Promise<void> {
  const sandboxId = `cap-${cpus}`;
  const process = busy(Math.ceil(cpus));
  const cgroup = await runContainers(stack, sandboxId, [
    { containerId: "c1", process, resources: quota(cpus) },
  ]);
  await delay(SETTLE_MS);
  const all: CpuUse[] = [];
  const quiet = () => all.filter((use) => use.others <= QUIET_CPUS).length;
  while (quiet() < WINDOWS && all.length < ATTEMPTS)
    all.push(await cpuUse(stack, sandboxId, cgroup, WINDOW_MS));
  const uses = all.toSorted((a, b) => a.others - b.others).slice(0, WINDOWS);
  const samples = (figure: keyof CpuUse) => uses.map((use) => use[figure]);
  others.push(...samples("others"));
  series.push(
    { name: `quota ${cpus}: vCPUs, host's cgroup`, unit: "CPUs", samples: samples("vcpus") },
    { name: `quota ${cpus}: vCPUs, HostStats`, unit: "CPUs", samples: samples("reported") },
    { name: `quota ${cpus}: sandbox, host's cgroup`, unit: "CPUs", samples: samples("sandbox") },
    { name: `quota ${cpus}: others on the host`, unit: "CPUs", samples: samples("others") },
    { name: `quota ${cpus}: periods throttled`, unit: "count", samples: samples("throttled") },
  );
  const availableCpus = median(uses.map((use) => hostCpus() - use.others - (use.sandbox - use.vcpus)));
  const deviations = {
    vcpus: median(samples("vcpus")) / Math.min(cpus, availableCpus) - 1,
    reported: median(samples("reported")) / Math.min(cpus, availableCpus) - 1,
  };
  for (const [figure, deviation] of Object.entries(deviations))
    targets.push({
      name: `quota_${cpus}_${figure}_deviation`,
      value: Math.abs(deviation),
      limit: 0.03,
    });
  await remove(sandboxId);
}

/** Milliseconds from the start of `change` until the kernel's cap is `cpus`. */
async function untilCap(cgroup: HostCgroup, cpus: number, change: () => Promise<unknown>): Promise<number> {
  const isCap = () => {
    const { cpu } = cgroup.limits();
    return cpu !== undefined && cpu.quotaUs / cpu.periodUs === cpus;
  };
  if (isCap()) throw new Error(`the cap is ${cpus} CPUs already`);
  const begun = performance.now();
  let failure: unknown;
  const changed = change().catch((error: unknown) => {
    failure = error ?? "refused";
  });
  while (!isCap()) {
    if (failure) throw failure;
    if (performance.now() - begun > 20_000) throw new Error(`the cap is not ${cpus} CPUs after 20 s`);
    await delay(2);
  }
  const took = performance.now() - begun;
  await changed;
  return took;
}

async function moves(): Promise<void> {
  const sandboxId = "cap-moves";
  const container = (containerId: string) => ({ containerId, process: busy(1), resources: quota(0.5) });
  const cgroup = await runContainers(stack, sandboxId, [container("c1"), container("c2")], 2);
  const updated: number[] = [];
  for (const cpus of [1, 0.25, 0.75, 0.5])
    updated.push(
      await untilCap(cgroup, 0.5 + cpus, () =>
        stack.client.containers.updateContainer(
          { requestId: randomUUID(), sandboxId, containerId: "c2", resources: quota(cpus) },
          { deadline: inSeconds(30) },
        ),
      ),
    );
  const deleted = await untilCap(cgroup, 0.5, () =>
    stack.client.containers.deleteContainer(
      { requestId: randomUUID(), sandboxId, containerId: "c2", force: true },
      { deadline: inSeconds(30) },
    ),
  );
  series.push(
    { name: "UpdateContainer until the cap moved", unit: "ms", samples: updated },
    { name: "DeleteContainer until the cap moved", unit: "ms", samples: [deleted] },
  );
  targets.push(
    { name: "update_until_cap_moved_ms", value: Math.max(...updated), limit: 1000 },
    { name: "delete_until_cap_moved_ms", value: deleted, limit: 1000 },
  );
  await remove(sandboxId);
}

async function shares(): Promise<void> {
  const run = (sandboxId: string, cpuShares: bigint) =>
    runContainers(stack, sandboxId, [
      { containerId: "c1", process: busy(1), resources: { cpuShares, cpusetCpus: "0" } },
    ]);
  const [one, three] = [await run("shares-1", 1024n), await run("shares-3", 3072n)];
  await delay(SETTLE_MS);
  const ratios: number[] = [];
  for (let left = WINDOWS; left > 0; left--) {
    const before = [one.vcpus().usageUs, three.vcpus().usageUs] as const;
    await delay(WINDOW_MS);
    ratios.push((three.vcpus().usageUs - before[1]) / (one.vcpus().usageUs - before[0]));
  }
  series.push({ name: "CPU time, shares 3072 over 1024", unit: "count", samples: ratios });
  targets.push({ name: "shares_ratio_deviation", value: Math.abs(median(ratios) / 3 - 1), limit: 0.1 });
  await Promise.all([remove("shares-1"), remove("shares-3")]);
}

await using stack = await Stack.start({ PADDOCK_CPU_OVERCOMMIT: "4" });
for (const cpus of [0.5, 1, 2]) await held(cpus);
await shares();
await moves();
report(
  "cpu-cap",
  {
    accelerator: "software emulation (TCG)",
    "host CPUs": String(hostCpus()),
    "others used": `${median(others).toFixed(2)} CPUs`,
  },
  series,
  targets,
);
