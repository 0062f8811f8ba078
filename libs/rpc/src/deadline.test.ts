import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { ProcessService, SandboxService } from "@paddock/protocol";
import { deadlineController, deadlinesOf, effectiveDeadline } from "./deadline.ts";

test("the deadline is the client's, up to the maximum, or the default", () => {
  const limits = { defaultMs: 30, maxMs: 100 };
  assert.equal(effectiveDeadline(limits, 1_050, 1_000), 1_050);
  assert.equal(effectiveDeadline(limits, 9_999, 1_000), 1_100);
  assert.equal(effectiveDeadline(limits, undefined, 1_000), 1_030);
  assert.equal(effectiveDeadline({}, undefined, 1_000), undefined);
  assert.equal(effectiveDeadline({}, 5, 1_000), 5, "a deadline that has passed does not change");
});

test("calls that boot a VM have 120 s, other calls 30 s, waits and streams no limit", () => {
  assert.equal(deadlinesOf(SandboxService.method.createSandbox).defaultMs, 120_000);
  assert.equal(deadlinesOf(SandboxService.method.getSandbox).defaultMs, 30_000);
  assert.deepEqual(deadlinesOf(ProcessService.method.waitProcess), {});
  assert.deepEqual(deadlinesOf(ProcessService.method.exec), {});
});

test("a deadline that has passed aborts at once, one in a year does not", async () => {
  const passed = deadlineController(Date.now() - 1, "x").controller.signal;
  await new Promise((resolve) => passed.addEventListener("abort", resolve));
  assert.ok(passed.reason instanceof PaddockError && passed.reason.reason === "DEADLINE");
  const far = deadlineController(Date.now() + 365 * 86_400_000, "x").controller.signal;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(far.aborted, false);
});
