/**
 * The effect of the cap of a sandbox on its containers: the measurement published with the reference's sandbox cgroup, scaled to
 * a small host.
 *
 * Two containers of one sandbox render the same scene, one with two threads and 1.2 CPUs, one with one thread and 0.4: three to
 * one, as the reference's times. This runs in turn without a cap on the host (only the guest limits each container), with the cap
 * of the reference (the sum of the quotas), and with that of the node (the sum, with a burst). For the first two, the values that
 * the node writes are undone. The times are the programs' own; the accounting is that of the vCPUs' cgroup.
 *
 * A quota bounds the speed, with and without a cap: a container that had its whole quota cannot be faster. So the part of its
 * quota that each container had, by the count of the guest's kernel, is printed beside the times; it does not depend on the
 * host's speed.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rayTracerImage } from "../fixtures/ray-tracer-image.ts";
import { hostCpus, runContainers } from "../harness/cpu-load.ts";
import type { ControlFile, HostCgroup } from "../harness/host-cgroup.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { median, report, type Series } from "./report.ts";

const ROUNDS = Number(process.env.PADDOCK_RAYTRACE_ROUNDS ?? 4);
const SIZE = (process.env.PADDOCK_RAYTRACE_SIZE ?? "1280x960").split("x");
const PERIOD_US = 100_000n;
const sandboxId = "raytrace";

const MULTI = { containerId: "multi", threads: 2, cpuQuotaUs: 120_000n };
const SINGLE = { containerId: "single", threads: 1, cpuQuotaUs: 40_000n };
/** The reference's published seconds, from its setup of 6 CPUs for 6 threads and 1 CPU for one. */
const REFERENCE = { before: { multi: 40, single: 122 }, after: { multi: 37, single: 124 } };

/** One rendering: its duration, and the part (0 to 1) of its quota that it had in that time. */
type Rendering = { readonly seconds: number; readonly ofQuota: number };
type Account = { readonly cpuSeconds: number; readonly throttled: number; readonly periods: number };
type Run = { readonly multi: Rendering; readonly single: Rendering } & Account;

/** The output of the ray tracer in a container about its rendering. */
async function renderingOf({ containerId, cpuQuotaUs }: typeof MULTI): Promise<Rendering> {
  let text = "";
  const call = stack.client.processes.readLogs({ sandboxId, containerId, follow: true });
  for await (const { data } of call) text += Buffer.from(data).toString();
  const figures = /^seconds (\S+) cpu (\S+) picture [0-9a-f]{8}$/m.exec(text);
  if (!figures) throw new Error(`the ray tracer of ${containerId} wrote ${JSON.stringify(text)}`);
  const [seconds, cpu] = [Number(figures[1]), Number(figures[2])];
  return { seconds, ofQuota: cpu / (seconds * (Number(cpuQuotaUs) / Number(PERIOD_US))) };
}

async function create(image: string, { containerId, threads, cpuQuotaUs }: typeof MULTI): Promise<void> {
  const spec = {
    containerId,
    image,
    process: { args: ["/ray-tracer", String(threads), ...SIZE] },
    resources: { cpuQuotaUs, cpuPeriodUs: PERIOD_US },
  };
  await stack.client.containers.createContainer(
    { requestId: randomUUID(), sandboxId, spec },
    { deadline: inSeconds(60) },
  );
}

async function start({ containerId }: typeof MULTI): Promise<void> {
  await stack.client.containers.startContainer(
    { requestId: randomUUID(), sandboxId, containerId },
    { deadline: inSeconds(60) },
  );
}

async function remove({ containerId }: typeof MULTI): Promise<void> {
  await stack.client.containers.deleteContainer(
    { requestId: randomUUID(), sandboxId, containerId, force: true },
    { deadline: inSeconds(60) },
  );
}

/** Keeps a file at its unset value: a value that the node writes there is undone at once. */
function keepUnset({ path, none }: ControlFile): Disposable {
  const unset = () => {
    if (!readFileSync(path, "utf8").startsWith(none)) writeFileSync(path, none);
  };
  const watcher = watch(path, unset);
  unset();
  return { [Symbol.dispose]: () => watcher.close() };
}

const ARRANGEMENTS = {
  /** Only the guest limits each container. */
  "no cap": (cgroup: HostCgroup) => keepUnset(cgroup.capFile()),
  /** The sum of the quotas and no burst, as the reference writes it. */
  "plain cap": (cgroup: HostCgroup) => keepUnset(cgroup.burstFile()),
  /** The values that the node writes. */
  cap: () => undefined,
} as const;
type Arrangement = keyof typeof ARRANGEMENTS;
const arrangements: readonly Arrangement[] = ["no cap", "plain cap", "cap"];

async function run(image: string, cgroup: HostCgroup, arrangement: Arrangement): Promise<Run> {
  await create(image, MULTI);
  await create(image, SINGLE);
  using _ = ARRANGEMENTS[arrangement](cgroup);
  const before = cgroup.vcpus();
  await Promise.all([start(MULTI), start(SINGLE)]);
  const [multi, single] = await Promise.all([renderingOf(MULTI), renderingOf(SINGLE)]);
  const after = cgroup.vcpus();
  await remove(MULTI);
  await remove(SINGLE);
  return {
    multi,
    single,
    cpuSeconds: (after.usageUs - before.usageUs) / 1e6,
    throttled: after.throttledPeriods - before.throttledPeriods,
    periods: after.periods - before.periods,
  };
}

/** The arrangements that the node's cap is compared with. */
const BASELINES = ["no cap", "plain cap"] as const;

const middle = (runs: readonly Run[], figure: (run: Run) => number): number => median(runs.map(figure));

/** The reference's table and Paddock's. */
function printTables(runs: Record<Arrangement, readonly Run[]>): void {
  const row = (cells: readonly string[]) =>
    console.log(cells.map((cell, index) => (index ? cell.padStart(14) : cell.padEnd(24))).join(""));
  row(["reference", "", "before", "after", "ratio"]);
  for (const [name, threads, from, to] of [
    ["6 CPUs", "6 threads", REFERENCE.before.multi, REFERENCE.after.multi],
    ["1 CPU", "1 thread", REFERENCE.before.single, REFERENCE.after.single],
  ] as const)
    row([name, threads, `${from} s`, `${to} s`, (to / from).toFixed(3)]);
  row(["here", "", ...arrangements, "cap/no cap", "cap/plain cap"]);
  for (const [name, threads, which] of [
    ["1.2 CPUs", "2 threads", "multi"],
    ["0.4 CPU", "1 thread", "single"],
  ] as const) {
    const seconds = arrangements.map((arrangement) => middle(runs[arrangement], (run) => run[which].seconds));
    const ratios = BASELINES.map((over) => ratio(runs, which, over).toFixed(3));
    const parts = arrangements.map((arrangement) => middle(runs[arrangement], (run) => run[which].ofQuota));
    row([name, threads, ...seconds.map((figure) => `${figure.toFixed(1)} s`), ...ratios]);
    row(["  part of its quota", "", ...parts.map((part) => `${(100 * part).toFixed(1)} %`)]);
  }
}

/** The ratio of the seconds with the node's cap to those of another arrangement. */
const ratio = (
  runs: Record<Arrangement, readonly Run[]>,
  which: "multi" | "single",
  over: Arrangement,
): number => middle(runs.cap, (run) => run[which].seconds) / middle(runs[over], (run) => run[which].seconds);

function seriesOf(arrangement: Arrangement, runs: readonly Run[]): Series[] {
  const of = (name: string, unit: Series["unit"], figure: (run: Run) => number): Series => ({
    name: `${arrangement}: ${name}`,
    unit,
    samples: runs.map(figure),
  });
  return [
    of("multi-threaded", "s", (run) => run.multi.seconds),
    of("single-threaded", "s", (run) => run.single.seconds),
    of("CPU time of vCPUs", "s", (run) => run.cpuSeconds),
    of("periods", "count", (run) => run.periods),
    of("throttled periods", "count", (run) => run.throttled),
  ];
}

const directory = mkdtempSync(join(tmpdir(), "raytrace-"));
await using stack = await Stack.start({ PADDOCK_CPU_OVERCOMMIT: "4" });
try {
  const { imageId } = await stack.importImage(await rayTracerImage(directory));
  const cgroup = await runContainers(stack, sandboxId, [], 2);
  const runs: Record<Arrangement, Run[]> = { "no cap": [], "plain cap": [], cap: [] };
  for (let round = 0; round < ROUNDS; round++)
    for (const arrangement of arrangements) runs[arrangement].push(await run(imageId, cgroup, arrangement));
  printTables(runs);
  report(
    "raytrace",
    { accelerator: "software emulation (TCG)", "host CPUs": String(hostCpus()), rounds: String(ROUNDS) },
    arrangements.flatMap((arrangement) => seriesOf(arrangement, runs[arrangement])),
    BASELINES.flatMap((over) =>
      (["multi", "single"] as const).map((which) => ({
        name: `${which}_cap_over_${over.replace(" ", "_")}`,
        value: ratio(runs, which, over),
        limit: REFERENCE.after[which] / REFERENCE.before[which],
      })),
    ),
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
