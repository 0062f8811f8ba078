import assert from "node:assert/strict";
import { test } from "node:test";
import { median, quantile } from "./report.ts";

test("a quantile is the sample of its rank, in any order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9), 9);
  assert.equal(quantile([1, 2, 3, 4], 1), 4);
  assert.equal(quantile([5], 0.01), 5);
});

test("no samples have no quantile", () => {
  assert.ok(Number.isNaN(median([])));
});
