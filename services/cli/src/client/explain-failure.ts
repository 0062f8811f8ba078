/** Explains a failed call to the user: what was attempted, why it failed, and how to fix it. */
import { isUnreachable, NoAnswerError, requestIdOf } from "@paddock/client";
import type { PaddockError } from "@paddock/domain";
import { CliError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

export type Attempt = {
  /** What was attempted, such as `start sandbox "web"`. */
  readonly what: string;
  readonly requestId?: string | undefined;
  readonly address: string;
  readonly exitCode?: number | undefined;
};

export function explainFailure(error: PaddockError, attempt: Attempt): CliError {
  return new CliError(`cannot ${attempt.what}: ${reasonOf(error, attempt)}`, {
    exitCode: attempt.exitCode ?? 1,
    hint: hintOf(error),
    requestId: requestIdOf(error) ?? attempt.requestId,
    details: error.violations.map((v) => `  ${printable(v.field)}: ${printable(v.description)}`),
    cause: error,
  });
}

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
