/**
 * Sandboxes that come and go, 1000 of them, some at a time. What the host and the daemon have afterwards is compared with what they
 * had after the first few: file descriptors, threads, processes, mounts, control groups, network devices, files and records
 * must be the same; the daemon's memory may grow by a little, as a JavaScript heap does.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { hostSnapshot } from "../harness/host-snapshot.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { report } from "./report.ts";

const rounds = Number(process.env.PADDOCK_CHURN_ROUNDS ?? 1000);
const parallel = Number(process.env.PADDOCK_CHURN_PARALLEL ?? 2);
/** Until caches and the heap have their usual size. */
const WARM_UP = 10;
const MIB = 1024 * 1024;
const GROWTH_LIMIT_MIB = 64;
/** How often memory is read. */
const EVERY = Math.max(1, Math.floor(rounds / 20));

await using stack = await Stack.start();
const image = await stack.tinyImage();
const times: number[] = [];
const memory: number[] = [];

function daemon() {
  const status = readFileSync(`/proc/${stack.nodePid}/status`, "utf8");
  const figure = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return {
    descriptors: readdirSync(`/proc/${stack.nodePid}/fd`).length,
    threads: figure("Threads"),
    residentBytes: figure("VmRSS") * 1024,
  };
}

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
      if (left % EVERY === 0) memory.push(daemon().residentBytes / MIB);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

/** What is there once the last connection and timer of the rounds is gone: the fewest descriptors within a few seconds. */
async function settled(): Promise<ReturnType<typeof daemon>> {
  let best = daemon();
  for (let look = 0; look < 50; look++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = daemon();
    if (now.descriptors <= best.descriptors) best = now;
  }
  return best;
}

await churn(WARM_UP);
const before = await settled();
const traces = new Set(hostSnapshot(stack.stateDirectory));
times.length = 0;
memory.length = 0;
await churn(rounds);
const after = await settled();
const left = hostSnapshot(stack.stateDirectory).filter((trace) => !traces.has(trace));
for (const trace of left) console.error(`left: ${trace}`);
report(
  "churn",
  { accelerator: "software emulation (TCG)", rounds: String(rounds), parallel: String(parallel) },
  [
    { name: "run and delete", unit: "ms", samples: times },
    { name: "the daemon's memory, MiB", unit: "count", samples: memory },
    { name: "descriptors before, after", unit: "count", samples: [before.descriptors, after.descriptors] },
    { name: "threads before, after", unit: "count", samples: [before.threads, after.threads] },
  ],
  [
    { name: "churn_traces", value: left.length, limit: 0 },
    { name: "churn_descriptors", value: after.descriptors - before.descriptors, limit: 0 },
    { name: "churn_threads", value: after.threads - before.threads, limit: 0 },
    {
      name: "churn_memory_growth_mib",
      value: (after.residentBytes - before.residentBytes) / MIB,
      limit: GROWTH_LIMIT_MIB,
    },
  ],
);
