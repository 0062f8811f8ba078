import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, DurationSchema } from "@bufbuild/protobuf/wkt";
import { ERROR_KINDS, type ErrorReason, PaddockError, REASON_KINDS } from "@paddock/domain";
import { StatusSchema } from "@paddock/protocol";
import { fromConnectError, toConnectError } from "./connect-error.ts";
import { codeName, codeOfKind, kindOfCode } from "./error-codes.ts";
import { fromServiceError, toServiceError } from "./grpc-error.ts";
import { fromStatus, toStatus } from "./status.ts";

const isReason = (key: string): key is ErrorReason => Object.hasOwn(REASON_KINDS, key);
const allReasons = Object.keys(REASON_KINDS).filter(isReason);
const full = new PaddockError("WRONG_STATE", "sandbox s is paused", {
  metadata: { actual_state: "paused" },
  hint: "resume it",
  violations: [{ field: "a[0].b", description: "bad" }],
  retryAfterMs: 1_250,
});

test("every kind has a code of its own, and back", () => {
  assert.equal(new Set(ERROR_KINDS.map(codeOfKind)).size, ERROR_KINDS.length);
  for (const kind of ERROR_KINDS) assert.equal(kindOfCode(codeOfKind(kind)), kind);
});

test("a code that is none, and UNKNOWN, are internal", () => {
  assert.deepEqual([2, 99, -1].map(kindOfCode), ["internal", "internal", "internal"]);
  assert.deepEqual([0, 5, 8].map(codeName), ["OK", "NOT_FOUND", "RESOURCE_EXHAUSTED"]);
});

for (const reason of allReasons) {
  test(`${reason} survives every way an error can travel`, () => {
    const error = new PaddockError(reason, "m", { metadata: { k: "v" } });
    for (const arrived of [
      fromStatus(toStatus(error)),
      fromServiceError(toServiceError(error)),
      fromConnectError(toConnectError(error)),
    ]) {
      assert.deepEqual(
        [arrived.reason, arrived.kind, arrived.message, arrived.metadata],
        [reason, error.kind, "m", { k: "v" }],
      );
    }
  });
}

test("hint, violations and retry delay survive too", () => {
  const arrived = fromServiceError(toServiceError(full, "r-1"));
  assert.equal(arrived.hint, "resume it");
  assert.deepEqual(arrived.violations, [{ field: "a[0].b", description: "bad" }]);
  assert.equal(arrived.retryAfterMs, 1_250);
});

test("an error of another service is passed on byte for byte, with details and reasons we do not know", () => {
  const status = toStatus(full, "r-1");
  status.details.push(anyPack(DurationSchema, create(DurationSchema, { seconds: 3n })));
  const before = toBinary(StatusSchema, status);
  assert.deepEqual(toBinary(StatusSchema, toStatus(fromStatus(status), "other")), before);
  assert.deepEqual(
    toBinary(StatusSchema, toStatus(fromServiceError(toServiceError(fromStatus(status))))),
    before,
  );
});

test("a reason with a code that is not its own is not believed", () => {
  const status = toStatus(new PaddockError("SANDBOX_NOT_FOUND", "m"));
  status.code = 14;
  assert.equal(fromStatus(status).reason, "UNAVAILABLE");
});

test("what is no PaddockError tells nothing of itself", () => {
  for (const thrown of [new TypeError("secret"), "secret", undefined, null, { message: "secret" }]) {
    const status = toStatus(thrown, "r-1");
    assert.equal(status.message, "internal error");
    assert.equal(status.code, 13);
    assert.ok(!Buffer.from(toBinary(StatusSchema, status)).includes("secret"));
  }
});

test("a hostile text fits into trailers: bounded, and without what cannot be encoded", () => {
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
