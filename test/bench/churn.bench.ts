/**
 * Creates and deletes 1000 sandboxes, some at a time, and compares host and services with their state after the first 100. File
 * descriptors, threads, processes, mounts, control groups, network devices, files and records must be the same, and the memory
 * of api and node daemon after a garbage collection must not have grown.
 */
import { randomUUID } from "node:crypto";
import { hostSnapshot } from "../harness/host-snapshot.ts";
import { idle } from "../harness/sandbox.ts";
import type { ServiceFigures } from "../harness/service-figures.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { report, type Series, type Target } from "./report.ts";

const rounds = Number(process.env.PADDOCK_CHURN_ROUNDS ?? 1000);
const parallel = Number(process.env.PADDOCK_CHURN_PARALLEL ?? 2);
/** Rounds until caches, pools and lists have their usual size. */
const WARM_UP = Math.min(100, rounds);
const MIB = 1024 * 1024;
/** Detects a leak of 10 KiB per round in 1000 rounds, and allows lists of the last few thousand requests. */
const GROWTH_LIMIT_MIB = 8;
/** Rounds between two readings of memory. */
const EVERY = Math.max(1, Math.floor(rounds / 20));
const SERVICES = ["api", "node"] as const;

await using stack = await Stack.start({}, { measured: true });
const image = await stack.tinyImage();
const times: number[] = [];
const held = { api: [] as number[], node: [] as number[] };

async function round(): Promise<void> {
  const sandboxId = `churn-${randomUUID()}`;
  const spec = { containers: [{ containerId: "c1", image, process: idle }] };
  const begun = performance.now();
  const deadline = { deadline: inSeconds(120) };
  await stack.client.sandboxes.runSandbox({ requestId: randomUUID(), sandboxId, spec }, deadline);
  await stack.client.sandboxes.deleteSandbox({ requestId: randomUUID(), sandboxId, force: true }, deadline);
  times.push(performance.now() - begun);
}

async function churn(count: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left--;
      await round();
      if (left % EVERY !== 0) continue;
      for (const service of SERVICES) held[service].push((await stack.figures(service)).heldBytes / MIB);
      console.error(`${new Date().toISOString()} ${left} of ${count} left`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

type Both = Readonly<Record<(typeof SERVICES)[number], ServiceFigures>>;

const both = async (): Promise<Both> => ({
  api: await stack.figures("api"),
  node: await stack.figures("node"),
});

/** The figures when the last connections and timers have ended. No event reports that, so the smallest of 50 readings is used. */
async function settled(): Promise<Both> {
  let best = await both();
  for (let look = 0; look < 50; look++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = await both();
    if (SERVICES.every((service) => now[service].descriptors <= best[service].descriptors)) best = now;
  }
  return best;
}

await churn(WARM_UP);
const before = await settled();
const traces = new Set(hostSnapshot(stack.stateDirectory));
times.length = 0;
for (const service of SERVICES) held[service].length = 0;
await churn(rounds);
const after = await settled();
const left = hostSnapshot(stack.stateDirectory).filter((trace) => !traces.has(trace));
for (const trace of left) console.error(`left: ${trace}`);

const series: Series[] = [{ name: "run and delete", unit: "ms", samples: times }];
const targets: Target[] = [{ name: "churn_traces", value: left.length, limit: 0 }];
for (const service of SERVICES) {
  const [a, b] = [before[service], after[service]];
  const grown = (what: "heldBytes" | "residentBytes") => (b[what] - a[what]) / MIB;
  series.push(
    { name: `${service}: memory held, MiB`, unit: "count", samples: held[service] },
    {
      name: `${service}: resident, MiB`,
      unit: "count",
      samples: [a, b].map((each) => each.residentBytes / MIB),
    },
    { name: `${service}: descriptors`, unit: "count", samples: [a.descriptors, b.descriptors] },
    { name: `${service}: threads`, unit: "count", samples: [a.threads, b.threads] },
  );
  targets.push(
    { name: `churn_${service}_descriptors`, value: b.descriptors - a.descriptors, limit: 0 },
    { name: `churn_${service}_threads`, value: b.threads - a.threads, limit: 0 },
    { name: `churn_${service}_held_growth_mib`, value: grown("heldBytes"), limit: GROWTH_LIMIT_MIB },
  );
}
report(
  "churn",
  { accelerator: "software emulation (TCG)", rounds: String(rounds), parallel: String(parallel) },
  series,
  targets,
);
