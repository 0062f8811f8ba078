import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

const DEFAULT_GRACE_MS = 10_000;
const MAX_GRACE_MS = 3_600_000;
/** Time to end a VM after the grace period, with a guest that does not react. */
const RESERVE_MS = 10_000;

/**
 * Time between SIGTERM and SIGKILL, in milliseconds: as requested, but shortened so that the stop ends before the call's
 * deadline.
 */
export function graceOf(grace: Duration | undefined, deadline: Date | undefined, nowMs: number): number {
  const wanted = Math.min(grace === undefined ? DEFAULT_GRACE_MS : durationMs(grace), MAX_GRACE_MS);
  if (deadline === undefined) return wanted;
  return Math.max(0, Math.min(wanted, deadline.getTime() - nowMs - RESERVE_MS));
}
