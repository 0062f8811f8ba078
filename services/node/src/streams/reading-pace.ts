import { setTimeout as pause } from "node:timers/promises";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

const DEFAULT_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;

/**
 * Returns a function that settles when the next reading is due: 100 ms to 1 hour after the previous one, 1 s without an
 * interval. It rejects with the signal's reason.
 */
export function readingPace(interval: Duration | undefined, signal: AbortSignal): () => Promise<void> {
  const wantedMs = interval === undefined ? DEFAULT_INTERVAL_MS : durationMs(interval);
  const intervalMs = Math.min(Math.max(wantedMs, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
  let dueMs = performance.now() + intervalMs;
  return async () => {
    await pause(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
    dueMs = performance.now() + intervalMs;
  };
}
