import assert from "node:assert/strict";
import { test } from "node:test";
import { SlotPool } from "./slot-pool.ts";

test("a number is free again when all its leases are disposed of", () => {
  const pool = new SlotPool();
  const first = pool.take();
  assert.deepEqual([first.slot, pool.take().slot, pool.take().slot], [0, 1, 2]);
  const second = pool.reserve(first.slot);
  first[Symbol.dispose]();
  assert.equal(pool.take().slot, 3);
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  assert.deepEqual([pool.take().slot, pool.take().slot], [0, 4]);
});

test("reserved numbers are skipped, and a large one does not make the others large", () => {
  const pool = new SlotPool();
  const large = pool.reserve(4_000_000_000);
  pool.reserve(0);
  const freed = pool.take();
  freed[Symbol.dispose]();
  pool.reserve(freed.slot);
  large[Symbol.dispose]();
  assert.deepEqual([freed.slot, pool.take().slot], [1, 2]);
});
