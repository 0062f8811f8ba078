import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { VmDeadline } from "./vm-deadline.ts";

/** Time until the deadline passes, in ms, for a VM that waits for a CPU for this share of the time. */
async function passes(timeoutMs: number, stolenShare: number): Promise<number> {
  const begunMs = performance.now();
  using deadline = new VmDeadline(timeoutMs, () => (performance.now() - begunMs) * stolenShare, undefined);
  await new Promise((resolve) => deadline.signal.addEventListener("abort", resolve));
  assert.ok(deadline.isOver);
  return performance.now() - begunMs;
}

test("the deadline of a VM that never waits for a CPU passes in time", async () => {
  assert.ok((await passes(200, 0)) < 1000);
});

test("steal time does not count, up to six times the deadline", async () => {
  // Half of the time is stolen, so it takes twice as long, less the slack at the end.
  assert.ok((await passes(500, 0.5)) > 850);
  const starvedMs = await passes(200, 1);
  assert.ok(starvedMs > 1100 && starvedMs < 3000, `${starvedMs} ms`);
});

test("a deadline of 0 means no deadline, and the caller's signal ends the wait", async () => {
  const caller = new AbortController();
  using deadline = new VmDeadline(0, () => 0, caller.signal);
  await pause(20);
  assert.equal(deadline.signal.aborted, false);
  caller.abort();
  assert.equal(deadline.signal.aborted, true);
  assert.equal(deadline.isOver, false);
});
