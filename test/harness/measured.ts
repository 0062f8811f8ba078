/**
 * Preloaded into a service that is to be measured: tells its memory over the IPC channel when it is asked, after garbage was collected, so that
 * what is told is what is held.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  process.on("message", () => {
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.send?.({ heldBytes: heapUsed + external, residentBytes: rss });
  });
  process.channel?.unref();
}
