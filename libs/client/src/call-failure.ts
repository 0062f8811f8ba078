/** Classifies a failed call: whether a service decided it, whether it may be retried, and where the api logged it. */
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type ErrorKind, PaddockError } from "@paddock/domain";
import { fromConnectError, RemoteError, rpcpb } from "@paddock/protocol";

const TRANSPORT_KINDS: ReadonlySet<string> = new Set(["unavailable", "internal", "cancelled"]);

/** The api accepts connections and does not answer on them. A transport may abort a call with this as the reason. */
export class NoAnswerError extends PaddockError {
  /** `address` is for the message; `afterMs` is how long the transport waited, in milliseconds. */
  constructor(address: string, afterMs: number) {
    super("UNAVAILABLE", `no answer from the api at ${address} for ${(afterMs / 1000).toFixed(1)} s`);
  }
}

/** The error of a failed call: the signal's reason if that is a `PaddockError`, otherwise the transport's error. */
export function failureOf(error: unknown, signal?: AbortSignal): PaddockError {
  const reason: unknown = signal?.aborted ? signal.reason : undefined;
  return reason instanceof PaddockError ? reason : fromConnectError(error);
}

/**
 * Whether the transport failed rather than the call. A status from a Paddock service has details; one without details was created
 * in between, and does not tell whether the call was carried out.
 */
export const isTransportFailure = (error: PaddockError): boolean =>
  error instanceof RemoteError && error.status.details.length === 0 && TRANSPORT_KINDS.has(error.kind);

/** Whether nothing answers at the address: the connection is refused, the name is unknown, or there is no answer. */
export const isRefused = (error: PaddockError): boolean =>
  error instanceof NoAnswerError ||
  (isTransportFailure(error) && /ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN/.test(error.message));

/** Whether the api could not be reached, or the connection was lost during the call. */
export const isUnreachable = (error: PaddockError): boolean =>
  error instanceof NoAnswerError || (error.kind === "unavailable" && isTransportFailure(error));

/** Whether the same call may succeed soon. */
export const isTransient = (error: PaddockError): boolean =>
  error.kind === "unavailable" || isTransportFailure(error);

/** Kinds of errors which mean that a sandbox or a container has ended, or no longer exists. */
export const ENDED_KINDS: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["not_found", "failed_precondition"]);

/** The request id under which the api logged the failure, if its answer contains one. */
export function requestIdOf(error: PaddockError): string | undefined {
  if (!(error instanceof RemoteError)) return undefined;
  for (const any of error.status.details) {
    try {
      const info = anyUnpack(any, rpcpb.RequestInfoSchema);
      if (info) return info.requestId || undefined;
    } catch {
      // An unreadable detail is ignored.
    }
  }
  return undefined;
}
