/** What a failed call tells: whether it was carried out, whether it may be repeated, and how to say it. */

import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type ErrorKind, PaddockError } from "@paddock/domain";
import { RemoteError, rpcpb } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { formatSpan } from "../output/quantities.ts";

const TRANSPORT_KINDS: ReadonlySet<string> = new Set(["unavailable", "internal", "cancelled"]);

/**
 * Whether the transport failed rather than the call. A status that one of our services decided carries details; one without
 * was made on the way, and says nothing of what became of the call.
 */
export const isTransportFailure = (error: PaddockError): boolean =>
  error instanceof RemoteError && error.status.details.length === 0 && TRANSPORT_KINDS.has(error.kind);

/** Somebody takes connections there and does not speak. */
export class NoAnswerError extends PaddockError {
  constructor(address: string, afterMs: number) {
    super("UNAVAILABLE", `no answer from the api at ${address} for ${formatSpan(afterMs)}`);
  }
}

/** Whether there is no api there at all. */
export const isRefused = (error: PaddockError): boolean =>
  error instanceof NoAnswerError ||
  (isTransportFailure(error) && /ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN/.test(error.message));

/** Whether the same call may succeed a moment later. */
export const isTransient = (error: PaddockError): boolean =>
  error.kind === "unavailable" || isTransportFailure(error);

/** Kinds of errors that say that a sandbox or a container has ended, or is gone. */
export const ENDED: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["not_found", "failed_precondition"]);

export type Attempt = {
  /** What was attempted, such as `start sandbox "web"`. */
  readonly what: string;
  readonly requestId?: string | undefined;
  readonly address: string;
  readonly exitCode?: number | undefined;
};

/** Puts a failed call into words. */
export function explain(error: PaddockError, attempt: Attempt): CliError {
  return new CliError(`cannot ${attempt.what}: ${reasonOf(error, attempt)}`, {
    exitCode: attempt.exitCode ?? 1,
    hint: hintOf(error),
    requestId: requestIdOf(error) ?? attempt.requestId,
    details: error.violations.map((v) => `  ${printable(v.field)}: ${printable(v.description)}`),
    cause: error,
  });
}

const isUnreachable = (error: PaddockError): boolean =>
  error instanceof NoAnswerError || (error.kind === "unavailable" && isTransportFailure(error));

function reasonOf(error: PaddockError, attempt: Attempt): string {
  if (error instanceof NoAnswerError) return error.message;
  if (isUnreachable(error)) return `no answer from the api at ${attempt.address}`;
  return printable(error.message || error.reason);
}

function hintOf(error: PaddockError): string | undefined {
  if (error.hint !== undefined) return error.message.includes(error.hint) ? undefined : printable(error.hint);
  if (isUnreachable(error)) return 'start this host with "paddock up", or name another api with --api';
  switch (error.kind) {
    case "unauthenticated":
      return "give the api's token with --token-file";
    case "unimplemented":
      return 'the api does not offer this; compare the versions with "paddock version"';
    case "deadline_exceeded":
      return "allow more time with --timeout";
    case "resource_exhausted":
      return error.retryAfterMs === undefined
        ? undefined
        : `try again in ${Math.ceil(error.retryAfterMs / 1000)} s`;
    default:
      return undefined;
  }
}

function requestIdOf(error: PaddockError): string | undefined {
  if (!(error instanceof RemoteError)) return undefined;
  for (const any of error.status.details) {
    try {
      const info = anyUnpack(any, rpcpb.RequestInfoSchema);
      if (info) return info.requestId || undefined;
    } catch {
      // A detail that cannot be read is none.
    }
  }
  return undefined;
}
