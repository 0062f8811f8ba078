/**
 * Preloaded into a service that is to be measured: tells its memory over the IPC channel when it is asked, after garbage was collected, so that
 * what is told is what is held; and, from the first time that it is asked, how long its event loop was blocked at most.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";
import { watchLoop } from "./loop-watch.ts";

if (isMainThread) {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  let longestBlockMs: (() => number) | undefined;
  process.on("message", (question) => {
    if (question === "block") {
      longestBlockMs ??= watchLoop();
      process.send?.({ longestBlockMs: longestBlockMs() });
      return;
    }
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.send?.({ heldBytes: heapUsed + external, residentBytes: rss });
  });
  process.channel?.unref();
}
