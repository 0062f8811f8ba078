/** The commands of a node, and the handler of each: the only list. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CommandKind, CommandLimits } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import type { nodepb } from "@paddock/protocol";
import { invalidFields } from "@paddock/rpc";
import type { Call } from "./handlers/call.ts";
import { createContainer } from "./handlers/create-container.ts";
import { createSandbox } from "./handlers/create-sandbox.ts";
import { deleteContainer } from "./handlers/delete-container.ts";
import { deleteImage } from "./handlers/delete-image.ts";
import { deleteSandbox } from "./handlers/delete-sandbox.ts";
import { getContainerStats } from "./handlers/get-container-stats.ts";
import { getSandbox } from "./handlers/get-sandbox.ts";
import { getSandboxStats } from "./handlers/get-sandbox-stats.ts";
import { killContainer } from "./handlers/kill-container.ts";
import { listImages } from "./handlers/list-images.ts";
import { listProcesses } from "./handlers/list-processes.ts";
import { listSandboxes } from "./handlers/list-sandboxes.ts";
import { pauseContainer } from "./handlers/pause-container.ts";
import { pauseSandbox } from "./handlers/pause-sandbox.ts";
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
import type { NodeContext } from "./node-context.ts";

export type Command = nodepb.CommandRequest["command"];
export type CommandCase = Exclude<Command["case"], undefined>;

/** The outcome of a command, without what protobuf adds to a message. */
export type Outcome = NonNullable<MessageInitShape<typeof nodepb.CommandResponseSchema>["outcome"]>;

/**
 * What a command does. It says in which room of the node a command waits (see `CommandRoom`), so that a stop gets through when changes
 * and reads hang. The outcome of one that changes or controls something is kept, so that repeating it changes nothing.
 */
export const COMMANDS = {
  createSandbox: "changes",
  runSandbox: "changes",
  startSandbox: "changes",
  stopSandbox: "controls",
  deleteSandbox: "controls",
  getSandbox: "reads",
  listSandboxes: "reads",
  pauseSandbox: "controls",
  resumeSandbox: "controls",
  getSandboxStats: "reads",
  addDevice: "changes",
  removeDevice: "changes",
  addInterface: "changes",
  removeInterface: "changes",
  listInterfaces: "reads",
  updateRoutes: "changes",
  listRoutes: "reads",
  createContainer: "changes",
  startContainer: "changes",
  stopContainer: "controls",
  deleteContainer: "controls",
  killContainer: "controls",
  pauseContainer: "controls",
  resumeContainer: "controls",
  updateContainer: "changes",
  getContainerStats: "reads",
  listProcesses: "reads",
  signalProcess: "controls",
  resizeTty: "reads",
  listImages: "reads",
  deleteImage: "changes",
  setLogLevel: "reads",
} as const satisfies Record<CommandCase, CommandKind>;

/** What waits for one sandbox leaves room for those of others, of the same kind. */
export const COMMAND_LIMITS: CommandLimits = { perKind: 1024, perSandbox: 128 };

/** The kind of a command; one that names nothing to do reads. */
export const kindOf = ({ command }: nodepb.CommandRequest): CommandKind =>
  command.case === undefined ? "reads" : COMMANDS[command.case];

/** Carries a command out. Throws what its handler throws. */
export async function route(ctx: NodeContext, command: Command, call: Call): Promise<Outcome> {
  const { case: name } = command;
  switch (command.case) {
    case "createSandbox":
      return { case: command.case, value: await createSandbox(ctx, command.value, call) };
    case "runSandbox":
      return { case: command.case, value: await runSandbox(ctx, command.value, call) };
    case "startSandbox":
      return { case: command.case, value: await startSandbox(ctx, command.value, call) };
    case "stopSandbox":
      return { case: command.case, value: await stopSandbox(ctx, command.value, call) };
    case "deleteSandbox":
      return { case: command.case, value: await deleteSandbox(ctx, command.value, call) };
    case "getSandbox":
      return { case: command.case, value: getSandbox(ctx, command.value) };
    case "listSandboxes":
      return { case: command.case, value: listSandboxes(ctx, command.value) };
    case "pauseSandbox":
      return { case: command.case, value: await pauseSandbox(ctx, command.value, call) };
    case "resumeSandbox":
      return { case: command.case, value: await resumeSandbox(ctx, command.value, call) };
    case "createContainer":
      return { case: command.case, value: await createContainer(ctx, command.value, call) };
    case "startContainer":
      return { case: command.case, value: await startContainer(ctx, command.value, call) };
    case "stopContainer":
      return { case: command.case, value: await stopContainer(ctx, command.value, call) };
    case "deleteContainer":
      return { case: command.case, value: await deleteContainer(ctx, command.value, call) };
    case "killContainer":
      return { case: command.case, value: await killContainer(ctx, command.value, call) };
    case "pauseContainer":
      return { case: command.case, value: await pauseContainer(ctx, command.value, call) };
    case "resumeContainer":
      return { case: command.case, value: await resumeContainer(ctx, command.value, call) };
    case "updateContainer":
      return { case: command.case, value: await updateContainer(ctx, command.value, call) };
    case "listProcesses":
      return { case: command.case, value: await listProcesses(ctx, command.value, call) };
    case "signalProcess":
      return { case: command.case, value: await signalProcess(ctx, command.value, call) };
    case "resizeTty":
      return { case: command.case, value: await resizeTty(ctx, command.value, call) };
    case "listImages":
      return { case: command.case, value: await listImages(ctx, command.value) };
    case "deleteImage":
      return { case: command.case, value: await deleteImage(ctx, command.value) };
    case "setLogLevel":
      return { case: command.case, value: setLogLevel(ctx, command.value) };
    case "getSandboxStats":
      return { case: command.case, value: await getSandboxStats(ctx, command.value, call) };
    case "getContainerStats":
      return { case: command.case, value: await getContainerStats(ctx, command.value, call) };
    case "addDevice":
    case "removeDevice":
    case "addInterface":
    case "removeInterface":
    case "listInterfaces":
    case "updateRoutes":
    case "listRoutes":
      throw new PaddockError("NOT_IMPLEMENTED", `this node cannot ${name} yet`);
    case undefined:
      throw invalidFields([{ field: "command", description: "names nothing to do" }]);
    default:
      return command satisfies never;
  }
}
