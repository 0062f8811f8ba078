/**
 * What an agent's gRPC error means to a client of Paddock.
 *
 * The agent gives the reason of a refusal in the status's details (`Failure` in agent.proto). The text is for people. A status
 * without a reason comes from gRPC, or from an agent that an earlier daemon booted: then the code says what happened, and the
 * method which object it concerns.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorReason, PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import { guestText } from "./guest-text.ts";

const { ContainerService, FailureReason, FileService, NetworkService, ProcessService } = agentpb;

const REASONS: Readonly<Record<agentpb.FailureReason, ErrorReason>> = {
  [FailureReason.UNSPECIFIED]: "GUEST_FAILED",
  [FailureReason.INVALID]: "INVALID_FIELD",
  [FailureReason.NOT_CONFIGURED]: "WRONG_STATE",
  [FailureReason.STOPPING]: "WRONG_STATE",
  [FailureReason.CONTAINER_NOT_FOUND]: "CONTAINER_NOT_FOUND",
  [FailureReason.CONTAINER_EXISTS]: "CONTAINER_EXISTS",
  [FailureReason.WRONG_STATE]: "WRONG_STATE",
  [FailureReason.PROCESS_NOT_FOUND]: "PROCESS_NOT_FOUND",
  [FailureReason.PROCESS_EXISTS]: "PROCESS_EXISTS",
  [FailureReason.NO_TERMINAL]: "NO_TERMINAL",
  [FailureReason.OFFSET_NOT_HELD]: "OFFSET_NOT_HELD",
  [FailureReason.EVENT_NOT_REACHED]: "OFFSET_NOT_HELD",
  [FailureReason.EXHAUSTED]: "TOO_MANY",
  [FailureReason.LIMIT_BELOW_USE]: "LIMIT_BELOW_USE",
  [FailureReason.CANNOT_EXECUTE]: "INVALID_FIELD",
  [FailureReason.DISK_NOT_FOUND]: "GUEST_FAILED",
  [FailureReason.TIMED_OUT]: "DEADLINE",
  [FailureReason.INTERNAL]: "GUEST_FAILED",
  [FailureReason.INTERFACE_NOT_FOUND]: "GUEST_FAILED",
  [FailureReason.GATEWAY_UNREACHABLE]: "INVALID_FIELD",
  [FailureReason.PORT_REFUSED]: "PORT_REFUSED",
  [FailureReason.FILE_NOT_FOUND]: "FILE_NOT_FOUND",
  [FailureReason.FILE_REFUSED]: "FILE_REFUSED",
  [FailureReason.DISK_FULL]: "DISK_FULL",
  [FailureReason.TRANSFER_NOT_FOUND]: "TRANSFER_NOT_FOUND",
  [FailureReason.DIGEST_MISMATCH]: "DIGEST_MISMATCH",
  [FailureReason.DEVICE_BUSY]: "DEVICE_BUSY",
  [FailureReason.BAD_FILESYSTEM]: "BAD_FILESYSTEM",
};

/** Methods that wait for nothing in the guest but its disk: a guest that does not answer them in time is unavailable. */
const PROMPT: ReadonlySet<DescMethod> = new Set<DescMethod>([
  ContainerService.method.killContainer,
  ContainerService.method.getContainerStats,
  ContainerService.method.listContainerStats,
  ContainerService.method.listProcesses,
  NetworkService.method.listInterfaces,
  NetworkService.method.listRoutes,
  NetworkService.method.updateRoutes,
  NetworkService.method.removeInterface,
  ProcessService.method.signalProcess,
  ProcessService.method.resizeTty,
  FileService.method.statFile,
  FileService.method.listFiles,
  FileService.method.makeDirectory,
]);

/** Maps an error from the guest's transport to the error of the call. */
export function guestError(error: unknown, method: DescMethod): PaddockError {
  if (error instanceof PaddockError) return error;
  const failure = ConnectError.from(error);
  if (failure.cause instanceof PaddockError) return failure.cause;
  const refusal = failure.findDetails(agentpb.FailureSchema)[0];
  const reason = refusal === undefined ? reasonOfCode(failure.code, method) : reasonOf(refusal);
  const metadata: Record<string, string> =
    refusal?.reason === FailureReason.OFFSET_NOT_HELD ? { earliest_offset: `${refusal.earliestOffset}` } : {};
  const text = guestText(failure.rawMessage);
  return new PaddockError(reason, `${method.name} in the guest failed: ${text}`, { metadata, cause: error });
}

/** A guest may send any number. An unknown one is a failure of the guest. */
const reasonOf = ({ reason }: agentpb.Failure): ErrorReason =>
  Object.hasOwn(REASONS, reason) ? REASONS[reason] : "GUEST_FAILED";

const REASONS_OF_CODES: Readonly<Record<Exclude<Code, Code.NotFound>, ErrorReason>> = {
  [Code.AlreadyExists]: "CONTAINER_EXISTS",
  [Code.FailedPrecondition]: "WRONG_STATE",
  [Code.InvalidArgument]: "INVALID_FIELD",
  [Code.OutOfRange]: "OFFSET_NOT_HELD",
  // Also for an answer that is larger than allowed.
  [Code.ResourceExhausted]: "TOO_MANY",
  [Code.DeadlineExceeded]: "DEADLINE",
  [Code.Canceled]: "CANCELLED",
  [Code.Unavailable]: "GUEST_UNAVAILABLE",
  [Code.Unknown]: "GUEST_FAILED",
  [Code.Internal]: "GUEST_FAILED",
  [Code.Aborted]: "GUEST_FAILED",
  [Code.DataLoss]: "GUEST_FAILED",
  [Code.Unimplemented]: "GUEST_FAILED",
  [Code.Unauthenticated]: "GUEST_FAILED",
  [Code.PermissionDenied]: "GUEST_FAILED",
};

function reasonOfCode(code: Code, method: DescMethod): ErrorReason {
  if (code === Code.NotFound) return notFound(method);
  if (code === Code.AlreadyExists && method === ProcessService.method.exec) return "PROCESS_EXISTS";
  if (code === Code.DeadlineExceeded && PROMPT.has(method)) return "GUEST_UNAVAILABLE";
  return REASONS_OF_CODES[code];
}

function notFound(method: DescMethod): ErrorReason {
  if (method === ContainerService.method.createContainer) return "GUEST_FAILED";
  if (method.parent === ContainerService || method === ProcessService.method.exec)
    return "CONTAINER_NOT_FOUND";
  return method.parent === ProcessService ? "PROCESS_NOT_FOUND" : "GUEST_FAILED";
}
