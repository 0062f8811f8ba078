import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { nodepb } from "@paddock/protocol";

/** The success of a request, recorded in the transaction of its change, so that a repeat succeeds even after a crash. */
export type RequestOutcome = { readonly requestId: string; readonly bytes: Uint8Array };

/** The success of a request whose answer has no fields. */
export const deletedOutcome = (requestId: string): RequestOutcome => ({
  requestId,
  bytes: encodeOutcome(new Uint8Array()),
});

/** The stored form of an encoded response. */
export const encodeOutcome = (response: Uint8Array): Uint8Array =>
  toBinary(
    nodepb.CommandResponseSchema,
    create(nodepb.CommandResponseSchema, { outcome: { case: "response", value: response } }),
  );

/** The encoded response in its stored form. */
export function decodeOutcome(bytes: Uint8Array): Uint8Array {
  const { outcome, $unknown } = fromBinary(nodepb.CommandResponseSchema, bytes);
  if (outcome.case === "response") return outcome.value;
  // An earlier version stored the response in a field for each method.
  const [kept] = $unknown ?? [];
  return kept === undefined ? new Uint8Array() : new BinaryReader(kept.data).bytes();
}
