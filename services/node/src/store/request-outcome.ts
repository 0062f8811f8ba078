import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { nodepb } from "@paddock/protocol";

/** The success of a request, to be recorded in the transaction that makes it one: repeating it succeeds even after a crash. */
export type RequestOutcome = { readonly requestId: string; readonly bytes: Uint8Array };

/** That of a request for the end of something, whose answer has no fields. */
export const deletedOutcome = (requestId: string): RequestOutcome => ({
  requestId,
  bytes: encodeOutcome(new Uint8Array()),
});

/** A response, itself in binary form, as it is kept. */
export const encodeOutcome = (response: Uint8Array): Uint8Array =>
  toBinary(
    nodepb.CommandResponseSchema,
    create(nodepb.CommandResponseSchema, { outcome: { case: "response", value: response } }),
  );

/** The response in what was kept. */
export function decodeOutcome(bytes: Uint8Array): Uint8Array {
  const { outcome, $unknown } = fromBinary(nodepb.CommandResponseSchema, bytes);
  if (outcome.case === "response") return outcome.value;
  // An earlier version kept the response in a field for each method.
  const [kept] = $unknown ?? [];
  return kept === undefined ? new Uint8Array() : new BinaryReader(kept.data).bytes();
}
