/** What a failed call tells: whether a service decided it, whether it may be repeated, and where the api logged it. */
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type ErrorKind, PaddockError } from "@paddock/domain";
import { fromConnectError, RemoteError, rpcpb } from "@paddock/protocol";

const TRANSPORT_KINDS: ReadonlySet<string> = new Set(["unavailable", "internal", "cancelled"]);

/** The api takes connections and does not answer on them. A transport may abort a call with this as the reason. */
export class NoAnswerError extends PaddockError {
  /** `address` is for the message; `afterMs` is how long the transport waited, in milliseconds. */
  constructor(address: string, afterMs: number) {
    super("UNAVAILABLE", `no answer from the api at ${address} for ${(afterMs / 1000).toFixed(1)} s`);
  }
}

/** The error of a failed call: the signal's reason when that is a `PaddockError`, else what the transport reports. */
export function failureOf(error: unknown, signal?: AbortSignal): PaddockError {
  const reason: unknown = signal?.aborted ? signal.reason : undefined;
  return reason instanceof PaddockError ? reason : fromConnectError(error);
}

/**
 * Whether the transport failed rather than the call. A status that a Paddock service decided carries details; one without
 * details was made on the way, and does not say whether the call was carried out.
 */
export const isTransportFailure = (error: PaddockError): boolean =>
  error instanceof RemoteError && error.status.details.length === 0 && TRANSPORT_KINDS.has(error.kind);

/** Whether nothing answers at the address: a connection is refused, the name is unknown, or there is no answer. */
export const isRefused = (error: PaddockError): boolean =>
  error instanceof NoAnswerError ||
  (isTransportFailure(error) && /ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN/.test(error.message));

/** Whether the api could not be reached, or was lost in the middle of the call. */
export const isUnreachable = (error: PaddockError): boolean =>
  error instanceof NoAnswerError || (error.kind === "unavailable" && isTransportFailure(error));

/** Whether the same call may succeed a moment later. */
export const isTransient = (error: PaddockError): boolean =>
  error.kind === "unavailable" || isTransportFailure(error);

/** Kinds of errors that say that a sandbox or a container has ended, or does not exist any more. */
export const ENDED_KINDS: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["not_found", "failed_precondition"]);

/** The request id under which the api logged the failure, when its answer has one. */
export function requestIdOf(error: PaddockError): string | undefined {
  if (!(error instanceof RemoteError)) return undefined;
  for (const any of error.status.details) {
    try {
      const info = anyUnpack(any, rpcpb.RequestInfoSchema);
      if (info) return info.requestId || undefined;
    } catch {
      // An unreadable detail says nothing.
    }
  }
  return undefined;
}
