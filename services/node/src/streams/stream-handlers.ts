/** The node's streams, and the handler of each: the only list. */
import type { nodepb } from "@paddock/protocol";
import type { ServiceHandlers } from "@paddock/rpc";
import { attach } from "./attach.ts";
import { exec } from "./exec.ts";
import { fencedCall, fencedStart } from "./fence-stream.ts";
import { importImage } from "./import-image.ts";
import { readLogs } from "./read-logs.ts";
import type { StreamContext } from "./stream-context.ts";
import { waitProcess } from "./wait-process.ts";
import { watchContainerStats } from "./watch-container-stats.ts";
import { watchSandboxStats } from "./watch-sandbox-stats.ts";

/** What serves `NodeStreamService`. */
export const streamHandlers = (context: StreamContext): ServiceHandlers<typeof nodepb.NodeStreamService> => ({
  exec: (requests, call) => exec(context, fencedStart(context, requests), call),
  attach: (requests, call) => attach(context, fencedStart(context, requests), call),
  waitProcess: async (request, call) => waitProcess(context, fencedCall(context, request), call),
  readLogs: (request, call) => readLogs(context, fencedCall(context, request), call),
  watchContainerStats: (request, call) => watchContainerStats(context, fencedCall(context, request), call),
  watchSandboxStats: (request, call) => watchSandboxStats(context, fencedCall(context, request), call),
  importImage: (requests, call) => importImage(context, requests, call),
});
