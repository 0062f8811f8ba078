/** The only list of the methods that the node serves as streams, with their handlers. */
import {
  ContainerService,
  FileService,
  ImageService,
  ProcessService,
  SandboxService,
} from "@paddock/protocol";
import { type BoundMethod, bindMethods } from "@paddock/rpc";
import { attach } from "./attach.ts";
import { copyFrom } from "./copy-from.ts";
import { copyTo } from "./copy-to.ts";
import { exec } from "./exec.ts";
import { importImage } from "./import-image.ts";
import { portForward } from "./port-forward.ts";
import { readLogs } from "./read-logs.ts";
import type { StreamContext } from "./stream-context.ts";
import { waitProcess } from "./wait-process.ts";
import { watchContainerStats } from "./watch-container-stats.ts";
import { watchFiles } from "./watch-files.ts";
import { watchSandboxStats } from "./watch-sandbox-stats.ts";

/** The methods that the node serves to the api by gRPC. */
export const streamMethods = (context: StreamContext): BoundMethod[] => [
  ...bindMethods(ProcessService, {
    exec: (requests, call) => exec(context, requests, call),
    attach: (requests, call) => attach(context, requests, call),
    waitProcess: (request, call) => waitProcess(context, request, call),
    readLogs: (request, call) => readLogs(context, request, call),
  }),
  ...bindMethods(ContainerService, {
    watchContainerStats: (request, call) => watchContainerStats(context, request, call),
  }),
  ...bindMethods(SandboxService, {
    watchSandboxStats: (request, call) => watchSandboxStats(context, request, call),
    portForward: (requests, call) => portForward(context, requests, call),
  }),
  ...bindMethods(FileService, {
    copyFrom: (request, call) => copyFrom(context, request, call),
    copyTo: (requests, call) => copyTo(context, requests, call),
    watchFiles: (request, call) => watchFiles(context, request, call),
  }),
  ...bindMethods(ImageService, { importImage: (requests, call) => importImage(context, requests, call) }),
];
