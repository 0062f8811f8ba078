import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { CreateSandboxRequestSchema, SandboxService, StopSandboxRequestSchema } from "@paddock/protocol";
import { createRequestCheck } from "./request-check.ts";

const check = createRequestCheck();

test("the shared rules of ids and request ids are checked, and a violation says the form", () => {
  const request = create(StopSandboxRequestSchema, { requestId: "x".repeat(65), sandboxId: "../x" });
  assert.throws(
    () => check(SandboxService.method.stopSandbox, request),
    (error) => {
      assert.ok(error instanceof PaddockError);
      assert.equal(error.reason, "INVALID_FIELD");
      assert.match(error.message, /request_id: must be 1 to 64 letters/);
      assert.match(error.message, /sandbox_id: must be 1 to 128 letters/);
      return true;
    },
  );
});

test("an id that may be left out may be empty", () => {
  const request = create(CreateSandboxRequestSchema, { requestId: "r", spec: {} });
  assert.doesNotThrow(() => check(SandboxService.method.createSandbox, request));
});
