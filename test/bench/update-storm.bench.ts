/**
 * 200 random updates of limits on 10 sandboxes with running loads. VMs grow and shrink with them. At the end host, guest, record
 * and status must agree to the byte and the microsecond, and after the deletes no cgroup may be left. The first difference ends
 * the run, and prints the seed that repeats it: PADDOCK_STORM_SEED=… npm run bench -- update-storm.
 *
 * PADDOCK_STORM_ROUNDS is the number of storms, each with the next seed. To find a fault that occurs once in a hundred runs, run
 * many storms with few sandboxes and updates.
 */
import { type StormResult, stormStack, updateStorm } from "../harness/update-storm.ts";
import { report } from "./report.ts";

const seed = Number(process.env.PADDOCK_STORM_SEED ?? Date.now() % 1_000_000);
const sandboxes = Number(process.env.PADDOCK_STORM_SANDBOXES ?? 10);
const updates = Number(process.env.PADDOCK_STORM_UPDATES ?? 200);
const rounds = Number(process.env.PADDOCK_STORM_ROUNDS ?? 1);

let differences = 0;
await using stack = await stormStack();
const results: StormResult[] = [];
for (let round = 0; round < rounds && differences === 0; round++) {
  const began = performance.now();
  try {
    const log = rounds === 1 ? (line: string) => console.error(line) : () => {};
    results.push(await updateStorm({ stack, seed: seed + round, sandboxes, updates, log }));
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.error(`storm ${round + 1} of ${rounds}, seed ${seed + round}: all agree, ${seconds} s`);
  } catch (error) {
    differences = 1;
    console.error(`storm ${round + 1} of ${rounds}, seed ${seed + round}:`, error);
  }
}
const sum = (of: (result: StormResult) => number) => results.reduce((total, result) => total + of(result), 0);
report(
  "update-storm",
  {
    accelerator: "software emulation (TCG)",
    seed: String(seed),
    sandboxes: String(sandboxes),
    updates: String(updates),
    storms: `${results.length} of ${rounds}`,
  },
  [
    { name: "updates taken", unit: "count", samples: [sum(({ taken }) => taken)] },
    { name: "updates beyond the maximum, refused", unit: "count", samples: [sum(({ refused }) => refused)] },
    { name: "VMs yet to give memory back", unit: "count", samples: [sum(({ unsettled }) => unsettled)] },
    { name: "UpdateContainer", unit: "ms", samples: results.flatMap(({ tookMs }) => tookMs) },
  ],
  [{ name: "update_storm_differences", value: differences, limit: 0 }],
);
