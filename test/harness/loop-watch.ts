/**
 * The longest block of this process's event loop since the last query.
 *
 * A timer fires every few milliseconds. The time beyond that between two of its ticks is a block, except the time in which the
 * thread was ready to run and the kernel ran another one (`run_delay` of /proc/thread-self/schedstat): a busy host is not the
 * program's fault. Time in which the thread waits for a disk counts.
 */
import { readFileSync } from "node:fs";

const TICK_MS = 5;
const NS_PER_MS = 1e6;

const readyMs = (): number =>
  Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[1]) / NS_PER_MS;

/** Starts to watch. The returned function returns the longest block in milliseconds, and resets it. */
export function watchLoop(): () => number {
  let longestMs = 0;
  let at = performance.now();
  let ready = readyMs();
  setInterval(() => {
    const [now, nowReady] = [performance.now(), readyMs()];
    longestMs = Math.max(longestMs, now - at - TICK_MS - (nowReady - ready));
    [at, ready] = [now, nowReady];
  }, TICK_MS).unref();
  return () => {
    const longest = longestMs;
    longestMs = 0;
    return longest;
  };
}
