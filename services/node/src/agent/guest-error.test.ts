import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { REASON_KINDS } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import fc from "fast-check";
import { guestRefusal } from "../testing/guest-refusal.ts";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import { guestError } from "./guest-error.ts";

const { FailureReason } = agentpb;
const { updateContainer, pauseContainer, killContainer } = agentpb.ContainerService.method;
const { resizeTty, attach } = agentpb.ProcessService.method;

const BELOW_USE = guestRefusal(FailureReason.LIMIT_BELOW_USE, "memory_bytes is 1, and 2 are in use");
const STOPPING = guestRefusal(FailureReason.STOPPING, "the guest is shutting down");

test("the reason of a refusal counts, not its text or its code", () => {
  assert.equal(guestError(BELOW_USE, updateContainer).reason, "LIMIT_BELOW_USE");
  const text = "memory_bytes is 1, and 2 are in use that cannot be given back";
  assert.equal(guestError(guestRefusal(FailureReason.NO_TERMINAL, text), resizeTty).reason, "NO_TERMINAL");
  assert.equal(
    guestError(new ConnectError(text, Code.FailedPrecondition), updateContainer).reason,
    "WRONG_STATE",
  );
});

test("a call to a guest that is not configured or is shutting down is WRONG_STATE, for any method", () => {
  for (const method of [updateContainer, resizeTty, pauseContainer])
    for (const reason of [FailureReason.NOT_CONFIGURED, FailureReason.STOPPING])
      assert.equal(guestError(guestRefusal(reason, "no"), method).reason, "WRONG_STATE", method.name);
});

test("the error for an offset that is not kept has the earliest one that is", () => {
  const { reason, metadata } = guestError(
    guestRefusal(FailureReason.OFFSET_NOT_HELD, "gone", 70_000),
    attach,
  );
  assert.deepEqual([reason, metadata], ["OFFSET_NOT_HELD", { earliest_offset: "70000" }]);
});

test("an error without a reason gets one from its code and its method", () => {
  const reason = (code: Code, method: DescMethod = updateContainer) =>
    guestError(new ConnectError("no", code), method).reason;
  assert.equal(reason(Code.DeadlineExceeded), "DEADLINE");
  assert.equal(reason(Code.DeadlineExceeded, killContainer), "GUEST_UNAVAILABLE");
  assert.equal(reason(Code.Canceled), "CANCELLED");
  assert.equal(reason(Code.Unavailable), "GUEST_UNAVAILABLE");
  assert.equal(reason(Code.ResourceExhausted), "TOO_MANY");
  assert.equal(reason(Code.NotFound), "CONTAINER_NOT_FOUND");
  assert.equal(reason(Code.NotFound, attach), "PROCESS_NOT_FOUND");
  assert.equal(reason(Code.Unimplemented), "GUEST_FAILED");
});

test("each reason of the protocol maps to one of ours, and an unknown number is GUEST_FAILED", () => {
  const runs = { numRuns: Number(process.env.PADDOCK_FUZZ_RUNS ?? 300) };
  const known = agentpb.FailureReasonSchema.values.map(({ number }) => number);
  for (const reason of known)
    assert.ok(guestError(guestRefusal(reason, "no"), attach).reason in REASON_KINDS, `${reason}`);
  const number = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const made = (value: Uint8Array) => {
    const error = new ConnectError("no", Code.NotFound);
    error.details = [{ type: agentpb.FailureSchema.typeName, value }];
    return guestError(error, attach).reason;
  };
  fc.assert(
    fc.property(number, (reason) => {
      if (!known.includes(reason))
        assert.equal(guestError(guestRefusal(reason, "no"), attach).reason, "GUEST_FAILED");
    }),
    runs,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (value) => {
      assert.ok(made(value) in REASON_KINDS);
    }),
    runs,
  );
});

/** The answer to an update that the guest refuses. */
async function refusedUpdate(refusal: ConnectError): Promise<string> {
  await using node = await TestNode.start();
  const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "runSandbox", value: { spec } }));
  let asked = 0;
  node.guest.onCall = async (name) => {
    if (name === "updateContainer" && asked++ === 0) throw refusal;
  };
  const resources = { memoryBytes: 64n * 1024n * 1024n };
  return detailsOf(await node.ask({ case: "updateContainer", value: { containerId: "c1", resources } }));
}

function detailsOf(outcome: NamedOutcome): string {
  assert.ok(outcome.case === "error");
  return Buffer.concat(outcome.value.details.map(({ value }) => value)).toString("latin1");
}

test("an update that a guest refuses because it shuts down does not blame the limit", async () => {
  assert.match(await refusedUpdate(STOPPING), /WRONG_STATE/);
  assert.match(await refusedUpdate(BELOW_USE), /LIMIT_BELOW_USE/);
});
