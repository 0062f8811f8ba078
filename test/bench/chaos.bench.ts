/**
 * Kill -9 of the node daemon at random moments, 100 times, under a mixed load of 20 sandboxes. What is counted is what must not
 * be: a VM without a record, a record without a VM, a leaked resource, a lost result, an invented exit code. The first one
 * ends the run with the seed that repeats it: PADDOCK_CHAOS_SEED=… npm run bench -- chaos.
 */
import { chaos } from "../harness/chaos.ts";
import { report } from "./report.ts";

const seed = Number(process.env.PADDOCK_CHAOS_SEED ?? Date.now() % 1_000_000);
const rounds = Number(process.env.PADDOCK_CHAOS_ROUNDS ?? 100);
const sandboxes = Number(process.env.PADDOCK_CHAOS_SANDBOXES ?? 20);

let violations = 0;
let operations = 0;
let repeated = 0;
try {
  ({ operations, repeated } = await chaos({
    seed,
    sandboxes,
    rounds,
    maxLifeMs: 8000,
    log: (line) => console.error(line),
  }));
} catch (error) {
  violations = 1;
  console.error(error);
}
report(
  "chaos",
  {
    accelerator: "software emulation (TCG)",
    seed: String(seed),
    rounds: String(rounds),
    sandboxes: String(sandboxes),
  },
  [
    { name: "operations carried out", unit: "count", samples: [operations] },
    { name: "attempts repeated", unit: "count", samples: [repeated] },
  ],
  [{ name: "chaos_violations", value: violations, limit: 0 }],
);
