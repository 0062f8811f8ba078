import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { PaddockError } from "@paddock/domain";
import { nodepb, SandboxService } from "@paddock/protocol";
import { jsonDigest } from "@paddock/rpc";
import { commandHandler } from "./command-handler.ts";
import { TestNode } from "./testing/test-node.ts";

const { startSandbox, deleteSandbox } = SandboxService.method;
const START = "paddock.v1.SandboxService/StartSandbox";
const call = () => ({ signal: AbortSignal.timeout(5000), deadline: undefined });

test("a command without a method, with an unreadable request, or with a change but no request id is INVALID_FIELD", async () => {
  await using node = await TestNode.start();
  const handle = commandHandler(node.context, () => undefined);
  const request = toBinary(startSandbox.input, create(startSandbox.input, { sandboxId: "s1" }));
  const asked = [
    ["method", {}],
    ["request", { method: START, request: new Uint8Array([255, 255]) }],
    ["request_id", { method: START, request }],
  ] as const;
  for (const [field, fields] of asked) {
    await assert.rejects(handle(create(nodepb.CommandRequestSchema, fields), call()), (error) => {
      assert.ok(error instanceof PaddockError && error.reason === "INVALID_FIELD", String(error));
      assert.deepEqual(
        error.violations.map((violation) => violation.field),
        [field],
      );
      return true;
    });
  }
});

test("a command for a method that this node does not serve is NOT_IMPLEMENTED and names it", async () => {
  await using node = await TestNode.start();
  const handle = commandHandler(node.context, () => undefined);
  for (const method of ["paddock.v1.NodeService/CordonNode", "paddock.v2.SandboxService/CreateSandbox"]) {
    const request = create(nodepb.CommandRequestSchema, { method, requestId: "r" });
    await assert.rejects(handle(request, call()), (error) => {
      assert.ok(error instanceof PaddockError && error.reason === "NOT_IMPLEMENTED", String(error));
      assert.equal(error.metadata.method, method);
      return true;
    });
  }
});

test("a repeat of a request that an earlier version executed gets its outcome", async () => {
  await using node = await TestNode.start();
  const handle = commandHandler(node.context, () => undefined);
  const { store } = node.context;
  // The stored form: a field for each method, field 14 for DeleteSandbox, in the outcome and in the digested request.
  const asked = { deleteSandbox: { requestId: "r", sandboxId: "s1" }, sandboxId: "s1" };
  store.begin("r", Buffer.from(jsonDigest("paddock.node.v1.CommandRequest", asked)).toString("hex"));
  const outcome = new BinaryWriter().tag(14, WireType.LengthDelimited).bytes(new Uint8Array()).finish();
  store.finish("r", outcome);
  const body = create(deleteSandbox.input, { requestId: "r", sandboxId: "s1" });
  const request = create(nodepb.CommandRequestSchema, {
    method: "paddock.v1.SandboxService/DeleteSandbox",
    request: toBinary(deleteSandbox.input, body),
    requestId: "r",
    sandboxId: "s1",
  });
  assert.deepEqual(await handle(request, call()), new Uint8Array());
});
