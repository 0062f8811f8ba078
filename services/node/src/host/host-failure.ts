import { CgroupError } from "@paddock/cgroups";
import { type ErrorReason, PaddockError } from "@paddock/domain";
import { NetworkError, type NetworkErrorKind } from "@paddock/network";
import { QemuError } from "@paddock/qemu";
import { diskFull } from "../store/store-error.ts";

const HINT = "see the node's log, and run `paddock doctor` to check its host";

const NETWORK_REASONS = {
  invalid: "INVALID_FIELD",
  exhausted: "NO_CAPACITY",
  taken: "PORT_IN_USE",
  missing: "HOST_REFUSED",
  refused: "HOST_REFUSED",
  unresponsive: "HOST_REFUSED",
} as const satisfies Record<NetworkErrorKind, ErrorReason>;

/**
 * The error for clients when the host's kernel, its file system or QEMU refused something; other errors are returned unchanged.
 */
export function hostFailure(error: unknown): unknown {
  if (error instanceof CgroupError || (error instanceof QemuError && error.kind === "qmp-refused"))
    return new PaddockError("HOST_REFUSED", error.message, { hint: HINT, cause: error });
  if (error instanceof NetworkError)
    return new PaddockError(NETWORK_REASONS[error.kind], error.message, { cause: error });
  if (isNoSpace(error)) return diskFull("the node's disk is full", error);
  // The caller has aborted with its own reason.
  if (error instanceof QemuError && error.kind !== "aborted")
    return new PaddockError("VM_UNAVAILABLE", error.message, { hint: HINT, cause: error });
  return error;
}

const isNoSpace = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
