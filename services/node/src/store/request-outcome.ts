import { create, toBinary } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";

/** The success of a request, to be recorded in the transaction that makes it one: repeating it succeeds even after a crash. */
export type RequestOutcome = { readonly requestId: string; readonly bytes: Uint8Array };

/** That of a request for the end of something, whose answer has no fields. */
export function deletedOutcome(
  requestId: string,
  command: "deleteSandbox" | "deleteContainer",
): RequestOutcome {
  const outcome = create(nodepb.CommandResponseSchema, { outcome: { case: command, value: {} } });
  return { requestId, bytes: toBinary(nodepb.CommandResponseSchema, outcome) };
}
