/** The only list of the node's commands and their handlers. */
import type { CommandKind, CommandLimits } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import type { nodepb } from "@paddock/protocol";
import { invalidFields, methodPath } from "@paddock/rpc";
import type { Command } from "./command.ts";
import { addDevice } from "./handlers/add-device.ts";
import { addInterface } from "./handlers/add-interface.ts";
import { createContainer } from "./handlers/create-container.ts";
import { createSandbox } from "./handlers/create-sandbox.ts";
import { createVolume } from "./handlers/create-volume.ts";
import { deleteContainer } from "./handlers/delete-container.ts";
import { deleteImage } from "./handlers/delete-image.ts";
import { deleteSandbox } from "./handlers/delete-sandbox.ts";
import { deleteVolume } from "./handlers/delete-volume.ts";
import { getContainer } from "./handlers/get-container.ts";
import { getContainerStats } from "./handlers/get-container-stats.ts";
import { getSandbox } from "./handlers/get-sandbox.ts";
import { getSandboxStats } from "./handlers/get-sandbox-stats.ts";
import { getVolume } from "./handlers/get-volume.ts";
import { killContainer } from "./handlers/kill-container.ts";
import { listContainers } from "./handlers/list-containers.ts";
import { listDevices } from "./handlers/list-devices.ts";
import { listFiles } from "./handlers/list-files.ts";
import { listImages } from "./handlers/list-images.ts";
import { listInterfaces } from "./handlers/list-interfaces.ts";
import { listProcesses } from "./handlers/list-processes.ts";
import { listRefusedPackets } from "./handlers/list-refused-packets.ts";
import { listRoutes } from "./handlers/list-routes.ts";
import { listSandboxes } from "./handlers/list-sandboxes.ts";
import { listVolumes } from "./handlers/list-volumes.ts";
import { makeDirectory } from "./handlers/make-directory.ts";
import { pauseContainer } from "./handlers/pause-container.ts";
import { pauseSandbox } from "./handlers/pause-sandbox.ts";
import { removeDevice } from "./handlers/remove-device.ts";
import { removeFile } from "./handlers/remove-file.ts";
import { removeInterface } from "./handlers/remove-interface.ts";
import { resizeTty } from "./handlers/resize-tty.ts";
import { resizeVolume } from "./handlers/resize-volume.ts";
import { resumeContainer } from "./handlers/resume-container.ts";
import { resumeSandbox } from "./handlers/resume-sandbox.ts";
import { runSandbox } from "./handlers/run-sandbox.ts";
import { setLogLevel } from "./handlers/set-log-level.ts";
import { signalProcess } from "./handlers/signal-process.ts";
import { startContainer } from "./handlers/start-container.ts";
import { startSandbox } from "./handlers/start-sandbox.ts";
import { statFile } from "./handlers/stat-file.ts";
import { stopContainer } from "./handlers/stop-container.ts";
import { stopSandbox } from "./handlers/stop-sandbox.ts";
import { updateContainer } from "./handlers/update-container.ts";
import { updateNetwork } from "./handlers/update-network.ts";
import { updateRoutes } from "./handlers/update-routes.ts";

const LIST: readonly Command[] = [
  createSandbox,
  runSandbox,
  startSandbox,
  stopSandbox,
  deleteSandbox,
  getSandbox,
  listSandboxes,
  pauseSandbox,
  resumeSandbox,
  getSandboxStats,
  updateNetwork,
  listRefusedPackets,
  addDevice,
  removeDevice,
  listDevices,
  addInterface,
  removeInterface,
  listInterfaces,
  updateRoutes,
  listRoutes,
  getContainer,
  listContainers,
  createContainer,
  startContainer,
  stopContainer,
  deleteContainer,
  killContainer,
  pauseContainer,
  resumeContainer,
  updateContainer,
  getContainerStats,
  listProcesses,
  signalProcess,
  resizeTty,
  statFile,
  listFiles,
  removeFile,
  makeDirectory,
  listImages,
  deleteImage,
  createVolume,
  getVolume,
  listVolumes,
  resizeVolume,
  deleteVolume,
  setLogLevel,
];

/** By method, as in the path of a gRPC call. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map(
  LIST.map((each) => [methodPath(each.method), each]),
);

/** Commands that wait for one sandbox leave room for those of others, of the same kind. */
export const COMMAND_LIMITS: CommandLimits = { perKind: 1024, perSandbox: 128 };

/** The kind of a command; an unknown one counts as a read. */
export const kindOf = ({ method }: nodepb.CommandRequest): CommandKind =>
  COMMANDS.get(method)?.kind ?? "reads";

/** The command of a request. Throws NOT_IMPLEMENTED for a method that this version does not serve. */
export function requireCommand({ method }: nodepb.CommandRequest): Command {
  if (method === "") throw invalidFields([{ field: "method", description: "must be set" }]);
  const found = COMMANDS.get(method);
  if (found !== undefined) return found;
  const named = method.slice(0, 128);
  throw new PaddockError("NOT_IMPLEMENTED", `this node does not serve ${named}`, {
    metadata: { method: named },
  });
}
