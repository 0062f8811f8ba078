/**
 * Kills the node daemon with SIGKILL at 100 random moments, under a mixed load of 20 sandboxes, and counts faults: a VM without a
 * record, a record without a VM, a leaked resource, a lost result, an invented exit. The first fault ends the run, and prints
 * the seed that repeats it: PADDOCK_CHAOS_SEED=… npm run bench -- chaos.
 */
import { chaos } from "../harness/chaos.ts";
import { CHAOS_FINDINGS, ChaosFinding } from "../harness/chaos-finding.ts";
import { report } from "./report.ts";

const seed = Number(process.env.PADDOCK_CHAOS_SEED ?? Date.now() % 1_000_000);
const rounds = Number(process.env.PADDOCK_CHAOS_ROUNDS ?? 100);
const sandboxes = Number(process.env.PADDOCK_CHAOS_SANDBOXES ?? 20);

const log = (line: string) => console.error(`${new Date().toISOString()} ${line}`);
log(`seed ${seed}`);
// Any error that is not a finding is thrown, because the run then has no result.
const outcome = await chaos({ seed, sandboxes, rounds, maxLifeMs: 8000, compareEvery: 10, log }).catch(
  (error: unknown) => {
    if (!(error instanceof ChaosFinding)) throw error;
    console.error(error.message);
    return error;
  },
);
const found = outcome instanceof ChaosFinding ? outcome : undefined;
const done = outcome instanceof ChaosFinding ? undefined : outcome;
report(
  "chaos",
  {
    accelerator: "software emulation (TCG)",
    seed: String(seed),
    rounds: String(rounds),
    sandboxes: String(sandboxes),
    comparisons: String(done?.comparisons ?? "ended early"),
  },
  [
    { name: "operations carried out", unit: "count", samples: [done?.operations ?? Number.NaN] },
    { name: "attempts repeated", unit: "count", samples: [done?.repeated ?? Number.NaN] },
  ],
  CHAOS_FINDINGS.map((kind) => ({
    name: `chaos_${kind}`,
    value: found?.kind === kind ? found.count : 0,
    limit: 0,
  })),
);
