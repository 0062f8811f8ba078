import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { guestSpan, guestTime } from "./guest-time.ts";

test("a guest's time or duration that cannot be written as JSON is left out", () => {
  for (const [seconds, nanos] of [
    [1n << 62n, 0],
    [0n, -1],
    [0n, 1_000_000_000],
  ] as const) {
    assert.equal(guestTime(create(TimestampSchema, { seconds, nanos })), undefined);
    assert.equal(guestSpan(create(DurationSchema, { seconds, nanos })), undefined);
  }
  assert.equal(guestSpan(create(DurationSchema, { seconds: -1n })), undefined);
});

test("valid times and durations are passed on", () => {
  assert.equal(guestTime(create(TimestampSchema, { seconds: 5n, nanos: 7 }))?.nanos, 7);
  assert.equal(guestSpan(create(DurationSchema, { seconds: 5n, nanos: 7 }))?.seconds, 5n);
  assert.equal(guestTime(undefined), undefined);
});
