import assert from "node:assert/strict";
import { test } from "node:test";
import { chaos } from "../harness/chaos.ts";

const seed = Number(process.env.PADDOCK_CHAOS_SEED ?? Date.now() % 1_000_000);

test(`kill -9 of the daemon at random moments under a mixed load loses, leaks and invents nothing (seed ${seed})`, async () => {
  const result = await chaos({ seed, sandboxes: 3, rounds: 6, maxLifeMs: 5000, compareEvery: 3 });
  assert.equal(result.kills, 6);
  assert.equal(result.comparisons, 2);
  assert.ok(result.operations > 0);
});
