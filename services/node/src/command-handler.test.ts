import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { nodepb } from "@paddock/protocol";
import { commandHandler } from "./command-handler.ts";
import { TestNode } from "./testing/test-node.ts";

test("a command that names nothing to do, or changes something without a request id, is INVALID_FIELD by its field", async () => {
  await using node = await TestNode.start();
  const handle = commandHandler(node.context, () => undefined);
  const asked = [
    ["command", {}],
    ["request_id", { command: { case: "startSandbox", value: { sandboxId: "s1" } } }],
  ] as const;
  for (const [field, fields] of asked) {
    const request = create(nodepb.CommandRequestSchema, fields);
    const call = handle(request, { signal: AbortSignal.timeout(5000), deadline: undefined });
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof PaddockError && error.reason === "INVALID_FIELD", String(error));
      assert.deepEqual(
        error.violations.map((violation) => violation.field),
        [field],
      );
      return true;
    });
  }
});
