/** All calls of the public API and what serves them. The only list there is. */
import {
  ContainerService,
  EventService,
  ImageService,
  NodeService,
  ProcessService,
  SandboxService,
  SystemService,
} from "@paddock/protocol";
import { type BoundMethod, bindService } from "@paddock/rpc";
import type { ApiContext } from "./api-context.ts";
import { attach } from "./handlers/attach.ts";
import { createContainer } from "./handlers/create-container.ts";
import { createSandbox } from "./handlers/create-sandbox.ts";
import { deleteContainer } from "./handlers/delete-container.ts";
import { deleteImage } from "./handlers/delete-image.ts";
import { deleteSandbox } from "./handlers/delete-sandbox.ts";
import { exec } from "./handlers/exec.ts";
import { getContainerStats } from "./handlers/get-container-stats.ts";
import { getContainerStatus } from "./handlers/get-container-status.ts";
import { getNode } from "./handlers/get-node.ts";
import { getSandbox } from "./handlers/get-sandbox.ts";
import { getSandboxStats } from "./handlers/get-sandbox-stats.ts";
import { getSandboxStatus } from "./handlers/get-sandbox-status.ts";
import { getVersion } from "./handlers/get-version.ts";
import { importImage } from "./handlers/import-image.ts";
import { killContainer } from "./handlers/kill-container.ts";
import { listImages } from "./handlers/list-images.ts";
import { listNodes } from "./handlers/list-nodes.ts";
import { listProcesses } from "./handlers/list-processes.ts";
import { listSandboxes } from "./handlers/list-sandboxes.ts";
import { pauseContainer } from "./handlers/pause-container.ts";
import { pauseSandbox } from "./handlers/pause-sandbox.ts";
import { readLogs } from "./handlers/read-logs.ts";
import { resizeTty } from "./handlers/resize-tty.ts";
import { resumeContainer } from "./handlers/resume-container.ts";
import { resumeSandbox } from "./handlers/resume-sandbox.ts";
import { runSandbox } from "./handlers/run-sandbox.ts";
import { setLogLevel } from "./handlers/set-log-level.ts";
import { signalProcess } from "./handlers/signal-process.ts";
import { startContainer } from "./handlers/start-container.ts";
import { startSandbox } from "./handlers/start-sandbox.ts";
import { stopContainer } from "./handlers/stop-container.ts";
import { stopSandbox } from "./handlers/stop-sandbox.ts";
import { updateContainer } from "./handlers/update-container.ts";
import { waitProcess } from "./handlers/wait-process.ts";
import { watch } from "./handlers/watch.ts";
import { watchContainerStats } from "./handlers/watch-container-stats.ts";
import { watchSandboxStats } from "./handlers/watch-sandbox-stats.ts";
import { notImplemented } from "./not-implemented.ts";

/** The services of the public API. */
export const SERVICES = [
  SandboxService,
  ContainerService,
  ProcessService,
  ImageService,
  NodeService,
  EventService,
  SystemService,
];

export const routes = (api: ApiContext): BoundMethod[] => [
  ...bindService(SandboxService, {
    createSandbox: createSandbox(api),
    runSandbox: runSandbox(api),
    startSandbox: startSandbox(api),
    stopSandbox: stopSandbox(api),
    deleteSandbox: deleteSandbox(api),
    getSandbox: getSandbox(api),
    getSandboxStatus: getSandboxStatus(api),
    listSandboxes: listSandboxes(api),
    pauseSandbox: pauseSandbox(api),
    resumeSandbox: resumeSandbox(api),
    getSandboxStats: getSandboxStats(api),
    watchSandboxStats: watchSandboxStats(api),
    addDevice: notImplemented,
    removeDevice: notImplemented,
    addInterface: notImplemented,
    removeInterface: notImplemented,
    listInterfaces: notImplemented,
    updateRoutes: notImplemented,
    listRoutes: notImplemented,
  }),
  ...bindService(ContainerService, {
    createContainer: createContainer(api),
    startContainer: startContainer(api),
    stopContainer: stopContainer(api),
    deleteContainer: deleteContainer(api),
    getContainerStatus: getContainerStatus(api),
    killContainer: killContainer(api),
    pauseContainer: pauseContainer(api),
    resumeContainer: resumeContainer(api),
    updateContainer: updateContainer(api),
    getContainerStats: getContainerStats(api),
    watchContainerStats: watchContainerStats(api),
    listProcesses: listProcesses(api),
  }),
  ...bindService(ProcessService, {
    exec: exec(api),
    attach: attach(api),
    waitProcess: waitProcess(api),
    signalProcess: signalProcess(api),
    resizeTty: resizeTty(api),
    readLogs: readLogs(api),
  }),
  ...bindService(ImageService, {
    importImage: importImage(api),
    listImages: listImages(api),
    deleteImage: deleteImage(api),
  }),
  ...bindService(NodeService, {
    listNodes: listNodes(api),
    getNode: getNode(api),
    cordonNode: notImplemented,
    uncordonNode: notImplemented,
    drainNode: notImplemented,
  }),
  ...bindService(EventService, { watch: watch(api) }),
  ...bindService(SystemService, { getVersion, setLogLevel: setLogLevel(api) }),
];
