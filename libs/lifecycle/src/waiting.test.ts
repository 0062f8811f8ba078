import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Changes } from "./changes.ts";
import { settlesWithin, untilAborted } from "./waiting.ts";

const never = new Promise<never>(() => undefined);

test("a wait settles as its work does, and leaves no listener on the signal", async () => {
  const { signal } = new AbortController();
  assert.equal(await untilAborted(Promise.resolve(1), signal), 1);
  await assert.rejects(untilAborted(Promise.reject(new Error("failed")), signal), /failed/);
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("a wait ends with the signal's reason, even when the signal aborted before the wait", async () => {
  const controller = new AbortController();
  const waiting = untilAborted(never, controller.signal);
  controller.abort(new Error("left"));
  await assert.rejects(waiting, /left/);
  await assert.rejects(untilAborted(Promise.reject(new Error("failed")), controller.signal), /left/);
});

test("work that resolves or rejects in time settles, other work does not", async () => {
  assert.equal(await settlesWithin(Promise.resolve(), 1000), true);
  assert.equal(await settlesWithin(Promise.reject(new Error("failed")), 1000), true);
  assert.equal(await settlesWithin(never, 1), false);
});

test("a change wakes each waiter, once", async () => {
  const changes = new Changes();
  const left = new AbortController();
  const { signal } = new AbortController();
  const waiting = [changes.next(signal), changes.next(signal)];
  const leaving = changes.next(left.signal);
  left.abort(new Error("left"));
  await assert.rejects(leaving, /left/);
  changes.notify();
  await Promise.all(waiting);
  assert.equal(await settlesWithin(changes.next(signal), 1), false);
});
