import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

const DEFAULT_GRACE_MS = 10_000;
const MAX_GRACE_MS = 3_600_000;
/** What ending a VM takes after the grace, with a guest that does nothing. */
const RESERVE_MS = 10_000;

/**
 * Time between SIGTERM and SIGKILL: what the client asked for, cut short so that the stop ends before the call's deadline.
 * In milliseconds.
 */
export function graceOf(grace: Duration | undefined, deadline: Date | undefined, nowMs: number): number {
  const wanted = Math.min(grace === undefined ? DEFAULT_GRACE_MS : durationMs(grace), MAX_GRACE_MS);
  if (deadline === undefined) return wanted;
  return Math.max(0, Math.min(wanted, deadline.getTime() - nowMs - RESERVE_MS));
}
