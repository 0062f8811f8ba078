/**
 * 200 random updates of limits on 10 sandboxes with loads running, growth and shrinking of VMs included. At the end host, guest,
 * record and status agree to the byte and the microsecond, and after the deletes no cgroup is left. The first difference ends
 * the run with the seed that repeats it: PADDOCK_STORM_SEED=… npm run bench -- update-storm.
 */
import { type StormResult, updateStorm } from "../harness/update-storm.ts";
import { report } from "./report.ts";

const seed = Number(process.env.PADDOCK_STORM_SEED ?? Date.now() % 1_000_000);
const sandboxes = Number(process.env.PADDOCK_STORM_SANDBOXES ?? 10);
const updates = Number(process.env.PADDOCK_STORM_UPDATES ?? 200);

let differences = 0;
let result: StormResult = { taken: 0, refused: 0, unsettled: 0, tookMs: [] };
try {
  result = await updateStorm({ seed, sandboxes, updates, log: (line) => console.error(line) });
} catch (error) {
  differences = 1;
  console.error(error);
}
report(
  "update-storm",
  {
    accelerator: "software emulation (TCG)",
    seed: String(seed),
    sandboxes: String(sandboxes),
    updates: String(updates),
  },
  [
    { name: "updates taken", unit: "count", samples: [result.taken] },
    { name: "updates beyond the maximum, refused", unit: "count", samples: [result.refused] },
    { name: "VMs yet to give memory back", unit: "count", samples: [result.unsettled] },
    { name: "UpdateContainer", unit: "ms", samples: result.tookMs },
  ],
  [{ name: "update_storm_differences", value: differences, limit: 0 }],
);
