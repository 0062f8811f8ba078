import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

const DEFAULT_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;

/** The time between two readings, 100 ms to 1 hour; 1 s when none is asked for. */
export function statsIntervalMs(interval: Duration | undefined): number {
  const asked = interval === undefined ? DEFAULT_INTERVAL_MS : durationMs(interval);
  return Math.min(Math.max(asked, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
}
