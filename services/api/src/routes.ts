/** All calls of the public API and their handlers. Calls about a sandbox that are not listed here are forwarded to its node. */
import {
  ContainerService,
  EventService,
  FileService,
  ImageService,
  NodeService,
  ProcessService,
  SandboxService,
  SystemService,
  VolumeService,
} from "@paddock/protocol";
import { type BoundMethod, bindService } from "@paddock/rpc";
import type { ApiContext } from "./api-context.ts";
import { forwarding } from "./forwarding.ts";
import { attach } from "./handlers/attach.ts";
import { copyTo } from "./handlers/copy-to.ts";
import { createOnNode } from "./handlers/create-on-node.ts";
import { createVolume } from "./handlers/create-volume.ts";
import { deleteImage } from "./handlers/delete-image.ts";
import { deleteSandbox } from "./handlers/delete-sandbox.ts";
import { deleteVolume } from "./handlers/delete-volume.ts";
import { exec } from "./handlers/exec.ts";
import { getContainerStatus } from "./handlers/get-container-status.ts";
import { getNode } from "./handlers/get-node.ts";
import { getSandboxStatus } from "./handlers/get-sandbox-status.ts";
import { getVersion } from "./handlers/get-version.ts";
import { getVolume } from "./handlers/get-volume.ts";
import { importImage } from "./handlers/import-image.ts";
import { listContainers } from "./handlers/list-containers.ts";
import { listImages } from "./handlers/list-images.ts";
import { listNodes } from "./handlers/list-nodes.ts";
import { listSandboxes } from "./handlers/list-sandboxes.ts";
import { listVolumes } from "./handlers/list-volumes.ts";
import { portForward } from "./handlers/port-forward.ts";
import { resizeVolume } from "./handlers/resize-volume.ts";
import { setLogLevel } from "./handlers/set-log-level.ts";
import { waitProcess } from "./handlers/wait-process.ts";
import { watch } from "./handlers/watch.ts";
import { notImplemented } from "./not-implemented.ts";

/** The services of the public API. */
export const SERVICES = [
  SandboxService,
  ContainerService,
  ProcessService,
  FileService,
  ImageService,
  NodeService,
  EventService,
  SystemService,
  VolumeService,
];

export const routes = (api: ApiContext): BoundMethod[] => [
  ...forwarding(api, SandboxService, {
    createSandbox: createOnNode(api, SandboxService.method.createSandbox),
    runSandbox: createOnNode(api, SandboxService.method.runSandbox),
    deleteSandbox: deleteSandbox(api),
    getSandboxStatus: getSandboxStatus(api),
    listSandboxes: listSandboxes(api),
    portForward: portForward(api),
  }),
  ...forwarding(api, ContainerService, {
    getContainerStatus: getContainerStatus(api),
    listContainers: listContainers(api),
  }),
  ...forwarding(api, ProcessService, {
    exec: exec(api),
    attach: attach(api),
    waitProcess: waitProcess(api),
  }),
  ...forwarding(api, FileService, { copyTo: copyTo(api) }),
  ...bindService(ImageService, {
    importImage: importImage(api),
    listImages: listImages(api),
    deleteImage: deleteImage(api),
  }),
  ...bindService(VolumeService, {
    createVolume: createVolume(api),
    getVolume: getVolume(api),
    listVolumes: listVolumes(api),
    resizeVolume: resizeVolume(api),
    deleteVolume: deleteVolume(api),
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
