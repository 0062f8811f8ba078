import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, DurationSchema } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import { type ErrorReason, PaddockError, REASON_KINDS } from "@paddock/domain";
import { fromStatus, StatusSchema, toStatus } from "@paddock/protocol";
import { fromServiceError, toServiceError } from "./grpc-error.ts";

const isReason = (key: string): key is ErrorReason => Object.hasOwn(REASON_KINDS, key);
const full = new PaddockError("WRONG_STATE", "sandbox s is paused", {
  metadata: { actual_state: "paused" },
  hint: "resume it",
  violations: [{ field: "a[0].b", description: "bad" }],
  retryAfterMs: 1_250,
});
const ended = (details: string) =>
  fromServiceError({ code: status.INTERNAL, details, metadata: new Metadata() });

for (const reason of Object.keys(REASON_KINDS).filter(isReason)) {
  test(`${reason} is the same after conversion to an error of grpc-js`, () => {
    const error = new PaddockError(reason, "m", { metadata: { k: "v" } });
    const arrived = fromServiceError(toServiceError(error));
    assert.deepEqual(
      [arrived.reason, arrived.kind, arrived.message, arrived.metadata],
      [reason, error.kind, "m", { k: "v" }],
    );
  });
}

test("hint, violations and retry delay are the same, too", () => {
  const arrived = fromServiceError(toServiceError(full, "r-1"));
  assert.equal(arrived.hint, "resume it");
  assert.deepEqual(arrived.violations, [{ field: "a[0].b", description: "bad" }]);
  assert.equal(arrived.retryAfterMs, 1_250);
});

test("an error of another service is passed on byte for byte, with unknown details and reasons", () => {
  const sent = toStatus(full, "r-1");
  sent.details.push(anyPack(DurationSchema, create(DurationSchema, { seconds: 3n })));
  assert.deepEqual(
    toBinary(StatusSchema, toStatus(fromServiceError(toServiceError(fromStatus(sent))))),
    toBinary(StatusSchema, sent),
  );
});

test("a hostile text fits into trailers: bounded, and without characters that cannot be encoded", () => {
  const error = new PaddockError("INVALID_FIELD", `\ud800${"x".repeat(100_000)}`, {
    violations: Array.from({ length: 500 }, (_, i) => ({
      field: `f${i}`,
      description: "\udc00".repeat(1_000),
    })),
    hint: "h".repeat(100_000),
  });
  const sent = toServiceError(error);
  assert.ok(toBinary(StatusSchema, toStatus(error)).length < 8 * 1024);
  assert.doesNotThrow(() => encodeURI(sent.details));
  assert.equal(fromServiceError(sent).reason, "INVALID_FIELD");
});

test("a call whose connection ended before its status arrived may be retried", () => {
  assert.equal(ended("Received RST_STREAM with code 0 (Call ended without gRPC status)").kind, "unavailable");
});

test("any other internal error of the transport is internal", () => {
  assert.equal(ended("Received RST_STREAM with code 2 (Internal server error)").kind, "internal");
});
