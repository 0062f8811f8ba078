/**
 * Preloaded into a measured service. On a request over the IPC channel it collects garbage and answers with the memory in use, or
 * answers with the longest block of its event loop since the last such request.
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
