import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, DurationSchema } from "@bufbuild/protobuf/wkt";
import { ERROR_KINDS, type ErrorReason, PaddockError, REASON_KINDS } from "@paddock/domain";
import { fromConnectError, toConnectError } from "./connect-error.ts";
import { codeName, codeOfKind, kindOfCode } from "./error-codes.ts";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
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

test("an unknown code is internal, and so is UNKNOWN", () => {
  assert.deepEqual([2, 99, -1].map(kindOfCode), ["internal", "internal", "internal"]);
  assert.deepEqual([0, 5, 8].map(codeName), ["OK", "NOT_FOUND", "RESOURCE_EXHAUSTED"]);
});

for (const reason of allReasons) {
  test(`${reason} survives as a Status and as a Connect error`, () => {
    const error = new PaddockError(reason, "m", { metadata: { k: "v" } });
    for (const arrived of [fromStatus(toStatus(error)), fromConnectError(toConnectError(error))]) {
      assert.deepEqual(
        [arrived.reason, arrived.kind, arrived.message, arrived.metadata],
        [reason, error.kind, "m", { k: "v" }],
      );
    }
  });
}

test("an error of another service is passed on byte for byte, with unknown details and reasons", () => {
  const status = toStatus(full, "r-1");
  status.details.push(anyPack(DurationSchema, create(DurationSchema, { seconds: 3n })));
  const before = toBinary(StatusSchema, status);
  assert.deepEqual(toBinary(StatusSchema, toStatus(fromStatus(status), "other")), before);
});

test("a reason is ignored when the code is not its own", () => {
  const status = toStatus(new PaddockError("SANDBOX_NOT_FOUND", "m"));
  status.code = 14;
  assert.equal(fromStatus(status).reason, "UNAVAILABLE");
});

test("an error other than PaddockError reveals nothing", () => {
  for (const thrown of [new TypeError("secret"), "secret", undefined, null, { message: "secret" }]) {
    const status = toStatus(thrown, "r-1");
    assert.equal(status.message, "internal error");
    assert.equal(status.code, 13);
    assert.ok(!Buffer.from(toBinary(StatusSchema, status)).includes("secret"));
  }
});
