/** Request ids, with which the api distinguishes a retried call from a new one. */
import {
  clone,
  create,
  type DescMessage,
  isMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";

const RANDOM_BYTES = 12;

/** A new request id: `prefix` and 24 random hex digits. The prefix names the program in the api's log; at most 39 characters. */
export function newRequestId(prefix = "client"): string {
  const bytes = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
  return `${prefix}-${bytes.toHex()}`;
}

export type IdentifiedRequest<I extends DescMessage> = {
  readonly request: MessageShape<I>;
  /** Undefined if requests of this type have none. */
  readonly requestId: string | undefined;
};

/** The request with a request id: its own, or a new one if it has none. The caller's message does not change. */
export function identified<I extends DescMessage>(
  schema: I,
  init: MessageInitShape<I>,
  newId: () => string,
): IdentifiedRequest<I> {
  const request = create(schema, init);
  const field = schema.field.requestId;
  if (field?.fieldKind !== "scalar") return { request, requestId: undefined };
  const given: unknown = reflect(schema, request).get(field);
  if (typeof given === "string" && given !== "") return { request, requestId: given };
  const requestId = newId();
  const copy = isMessage(init) ? clone(schema, request) : request;
  reflect(schema, copy).set(field, requestId);
  return { request: copy, requestId };
}
