/**
 * What capping a sandbox on its host does to its containers: the measurement that came with the reference's sandbox cgroup,
 * scaled to a small host.
 *
 * Two containers of one sandbox render the same scene, one by two threads with 1.2 CPUs, one by one thread with 0.4: three to
 * one, as the reference's times are. In turn without the cap on the host (each container is held by its guest alone; whatever
 * the node writes is lifted again) and with it. The time is the programs' own, the accounting that of the cgroup of the vCPUs.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rayTracerImage } from "../fixtures/ray-tracer-image.ts";
import { hostCpus, runContainers } from "../harness/cpu-load.ts";
import type { HostCgroup } from "../harness/host-cgroup.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { median, report } from "./report.ts";

const ROUNDS = Number(process.env.PADDOCK_RAYTRACE_ROUNDS ?? 3);
const SIZE = (process.env.PADDOCK_RAYTRACE_SIZE ?? "1280x960").split("x");
const PERIOD_US = 100_000n;
const sandboxId = "raytrace";

const MULTI = { containerId: "multi", threads: 2, cpuQuotaUs: 120_000n };
const SINGLE = { containerId: "single", threads: 1, cpuQuotaUs: 40_000n };
/** The reference's published seconds, by its arrangement of 6 CPUs for 6 threads and 1 CPU for one. */
const REFERENCE = { before: { multi: 40, single: 122 }, after: { multi: 37, single: 124 } };

type Times = { readonly multi: number; readonly single: number };
type Account = { readonly cpuSeconds: number; readonly throttled: number; readonly periods: number };
type Run = { readonly times: Times; readonly account: Account };

/** The seconds that the tracer in a container says it took. */
async function secondsOf(containerId: string): Promise<number> {
  let text = "";
  const call = stack.client.processes.readLogs({ sandboxId, containerId, follow: true });
  for await (const { data } of call) text += Buffer.from(data).toString();
  const seconds = /^seconds (\S+) picture [0-9a-f]{8}$/m.exec(text)?.[1];
  if (seconds === undefined)
    throw new Error(`the ray tracer of ${containerId} wrote ${JSON.stringify(text)}`);
  return Number(seconds);
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

/** Undoes each cap as soon as it is written, until stopped. */
function liftCaps(cgroup: HostCgroup): Disposable {
  const { file, value } = cgroup.uncapped();
  const lift = () => {
    if (cgroup.limits().cpu !== undefined) writeFileSync(file, value);
  };
  const watcher = watch(file, lift);
  lift();
  return { [Symbol.dispose]: () => watcher.close() };
}

async function run(image: string, cgroup: HostCgroup, capped: boolean): Promise<Run> {
  await create(image, MULTI);
  await create(image, SINGLE);
  using _ = capped ? undefined : liftCaps(cgroup);
  const before = cgroup.vcpus();
  await Promise.all([start(MULTI), start(SINGLE)]);
  const [multi, single] = await Promise.all([secondsOf(MULTI.containerId), secondsOf(SINGLE.containerId)]);
  const after = cgroup.vcpus();
  await remove(MULTI);
  await remove(SINGLE);
  const account = {
    cpuSeconds: (after.usageUs - before.usageUs) / 1e6,
    throttled: after.throttledPeriods - before.throttledPeriods,
    periods: after.periods - before.periods,
  };
  return { times: { multi, single }, account };
}

const middle = (runs: readonly Run[]): Times => ({
  multi: median(runs.map(({ times }) => times.multi)),
  single: median(runs.map(({ times }) => times.single)),
});

function printTables(before: Times, after: Times): void {
  const row = (cells: readonly string[]) =>
    console.log(cells.map((cell, index) => (index ? cell.padStart(12) : cell.padEnd(26))).join(""));
  const lines = (name: string, threads: string, from: number, to: number) =>
    row([name, threads, `${from.toFixed(1)} s`, `${to.toFixed(1)} s`, (to / from).toFixed(3)]);
  row(["", "", "without cap", "with cap", "ratio"]);
  lines("reference, 6 CPUs", "6 threads", REFERENCE.before.multi, REFERENCE.after.multi);
  lines("reference, 1 CPU", "1 thread", REFERENCE.before.single, REFERENCE.after.single);
  lines("here, 1.2 CPUs", "2 threads", before.multi, after.multi);
  lines("here, 0.4 CPU", "1 thread", before.single, after.single);
}

const directory = mkdtempSync(join(tmpdir(), "raytrace-"));
await using stack = await Stack.start({ PADDOCK_CPU_OVERCOMMIT: "4" });
try {
  const { imageId } = await stack.importImage(await rayTracerImage(directory));
  const cgroup = await runContainers(stack, sandboxId, [], 2);
  const without: Run[] = [];
  const withCap: Run[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await run(imageId, cgroup, false));
    withCap.push(await run(imageId, cgroup, true));
  }
  const [before, after] = [middle(without), middle(withCap)];
  printTables(before, after);
  report(
    "raytrace",
    { accelerator: "software emulation (TCG)", "host CPUs": String(hostCpus()), rounds: String(ROUNDS) },
    (["without", "with"] as const).flatMap((which) => {
      const runs = which === "with" ? withCap : without;
      const of = (figure: (run: Run) => number) => runs.map(figure);
      return [
        { name: `${which} cap: multi-threaded`, unit: "s" as const, samples: of(({ times }) => times.multi) },
        {
          name: `${which} cap: single-threaded`,
          unit: "s" as const,
          samples: of(({ times }) => times.single),
        },
        {
          name: `${which} cap: CPU time of vCPUs`,
          unit: "s" as const,
          samples: of(({ account }) => account.cpuSeconds),
        },
        {
          name: `${which} cap: periods`,
          unit: "count" as const,
          samples: of(({ account }) => account.periods),
        },
        {
          name: `${which} cap: throttled periods`,
          unit: "count" as const,
          samples: of(({ account }) => account.throttled),
        },
      ];
    }),
    [
      {
        name: "multi_with_over_without",
        value: after.multi / before.multi,
        limit: REFERENCE.after.multi / REFERENCE.before.multi,
      },
      {
        name: "single_with_over_without",
        value: after.single / before.single,
        limit: REFERENCE.after.single / REFERENCE.before.single,
      },
    ],
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
