import assert from "node:assert/strict";
import { test } from "node:test";
import { Slots } from "./slots.ts";

const never = new AbortController().signal;

test("no more slots are out than there are, and they are granted in order", async () => {
  const slots = new Slots(1);
  const order: string[] = [];
  const first = await slots.take(never);
  const waiting = ["a", "b"].map(async (name) => {
    using _ = await slots.take(never);
    order.push(name);
  });
  await new Promise(setImmediate);
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  await Promise.all(waiting);
  assert.deepEqual(order, ["a", "b"]);
});

test("one who leaves the queue neither gets nor loses a slot", async () => {
  const slots = new Slots(1);
  const first = await slots.take(never);
  const leaving = new AbortController();
  const left = slots.take(leaving.signal);
  const next = slots.take(never);
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  first[Symbol.dispose]();
  (await next)[Symbol.dispose]();
  (await slots.take(never))[Symbol.dispose]();
});
