import assert from "node:assert/strict";
import { test } from "node:test";
import { Slots } from "./slots.ts";

const never = new AbortController().signal;

test("slots are bounded and granted in order", async () => {
  const slots = new Slots(1);
  const order: string[] = [];
  const first = await slots.acquire(never);
  const waiting = ["a", "b"].map(async (name) => {
    using _ = await slots.acquire(never);
    order.push(name);
  });
  await new Promise(setImmediate);
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  await Promise.all(waiting);
  assert.deepEqual(order, ["a", "b"]);
});

test("an aborted waiter neither gets nor loses a slot", async () => {
  const slots = new Slots(1);
  const first = await slots.acquire(never);
  const leaving = new AbortController();
  const left = slots.acquire(leaving.signal);
  const next = slots.acquire(never);
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  first[Symbol.dispose]();
  (await next)[Symbol.dispose]();
  (await slots.acquire(never))[Symbol.dispose]();
});
