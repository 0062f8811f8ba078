import { test } from "node:test";
import { stormStack, updateStorm } from "../harness/update-storm.ts";

test("after random updates under load, host, guest, record and status agree, and the deletes leave no cgroup", async (t) => {
  const seed = Number(process.env.PADDOCK_STORM_SEED ?? 1);
  t.diagnostic(`seed ${seed}`);
  await using stack = await stormStack();
  await updateStorm({ stack, seed, sandboxes: 2, updates: 20 });
});
