/**
 * What an agent's gRPC error means to a client of Paddock.
 *
 * The agent answers with a code and a text; the method says what the code is about, and where one code has several meanings, the
 * text does. A code that the method's contract does not name is the guest's failure, not the node's.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorReason, PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import { guestText } from "./guest-text.ts";

const { ContainerService, ProcessService } = agentpb;

/** The ends of the agent's texts: `BelowUse` in its runtime/error.rs, `NoTerminal` in its process/mod.rs. */
const BELOW_USE = /: [a-z_.]+ is [0-9]+, and [0-9]+ are in use that cannot be given back$/;
const NO_TERMINAL = /: the process has no terminal$/;

/** Methods that wait for nothing in the guest: one that does not answer them in time does not answer. */
const PROMPT: ReadonlySet<DescMethod> = new Set<DescMethod>([
  ContainerService.method.killContainer,
  ContainerService.method.getContainerStats,
  ContainerService.method.listContainerStats,
  ContainerService.method.listProcesses,
  ProcessService.method.signalProcess,
  ProcessService.method.resizeTty,
]);

/** The error a call on the guest fails with, for whatever its transport threw. */
export function guestError(error: unknown, method: DescMethod): PaddockError {
  if (error instanceof PaddockError) return error;
  const failure = ConnectError.from(error);
  if (failure.cause instanceof PaddockError) return failure.cause;
  const text = guestText(failure.rawMessage);
  const reason = reasonOf(failure.code, method, text);
  const metadata = reason === "OFFSET_NOT_HELD" ? earliestOffset(text) : {};
  return new PaddockError(reason, `${method.name} in the guest failed: ${text}`, { metadata, cause: error });
}

function reasonOf(code: Code, method: DescMethod, text: string): ErrorReason {
  switch (code) {
    case Code.NotFound:
      return notFound(method);
    case Code.AlreadyExists:
      return method === ProcessService.method.exec ? "PROCESS_EXISTS" : "CONTAINER_EXISTS";
    case Code.FailedPrecondition:
      return failedPrecondition(method, text);
    case Code.InvalidArgument:
      return "INVALID_FIELD";
    case Code.OutOfRange:
      return "OFFSET_NOT_HELD";
    case Code.ResourceExhausted:
      return "TOO_MANY";
    case Code.DeadlineExceeded:
      return PROMPT.has(method) ? "GUEST_UNAVAILABLE" : "DEADLINE";
    case Code.Canceled:
      return "CANCELLED";
    case Code.Unavailable:
      return "GUEST_UNAVAILABLE";
    case Code.Unknown:
    case Code.Internal:
    case Code.Aborted:
    case Code.DataLoss:
    case Code.Unimplemented:
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return "GUEST_FAILED";
    default:
      return code satisfies never;
  }
}

/** Any method may be refused so by a guest that is not configured or shuts down, beside what its contract names. */
function failedPrecondition(method: DescMethod, text: string): ErrorReason {
  if (method === ContainerService.method.updateContainer && BELOW_USE.test(text)) return "LIMIT_BELOW_USE";
  if (method === ProcessService.method.resizeTty && NO_TERMINAL.test(text)) return "NO_TERMINAL";
  return "WRONG_STATE";
}

function notFound(method: DescMethod): ErrorReason {
  if (method === ContainerService.method.createContainer) return "GUEST_FAILED";
  if (method.parent === ContainerService || method === ProcessService.method.exec)
    return "CONTAINER_NOT_FOUND";
  return method.parent === ProcessService ? "PROCESS_NOT_FOUND" : "GUEST_FAILED";
}

/** The agent's text says "… is not held: <first> to <end> are". */
function earliestOffset(text: string): Record<string, string> {
  const found = /: ([0-9]{1,20}) to [0-9]{1,20} are/.exec(text)?.[1];
  return found === undefined ? {} : { earliest_offset: found };
}
