/** The commands, in the order of the help. */
import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { attachCommand } from "./attach.ts";
import { cpCommand } from "./cp.ts";
import { createCommand } from "./create.ts";
import { deviceCommand } from "./device.ts";
import { doctorCommand } from "./doctor.ts";
import { downCommand } from "./down.ts";
import { eventsCommand } from "./events.ts";
import { execCommand } from "./exec.ts";
import { imageCommand } from "./image.ts";
import { imageImportCommand } from "./image-import.ts";
import { imageLsCommand } from "./image-ls.ts";
import { imageRmCommand } from "./image-rm.ts";
import { inspectCommand } from "./inspect.ts";
import { killCommand } from "./kill.ts";
import { logsCommand } from "./logs.ts";
import { networkCommand } from "./network.ts";
import { nodeCommand } from "./node.ts";
import { pauseCommand } from "./pause.ts";
import { portCommand } from "./port.ts";
import { portForwardCommand } from "./port-forward.ts";
import { psCommand } from "./ps.ts";
import { restartCommand } from "./restart.ts";
import { resumeCommand } from "./resume.ts";
import { rmCommand } from "./rm.ts";
import { runCommand } from "./run.ts";
import { startCommand } from "./start.ts";
import { statsCommand } from "./stats.ts";
import { stopCommand } from "./stop.ts";
import { topCommand } from "./top.ts";
import { upCommand } from "./up.ts";
import { updateCommand } from "./update.ts";
import { versionCommand } from "./version.ts";
import { volumeCommand } from "./volume.ts";
import { waitCommand } from "./wait.ts";

export const COMMANDS: readonly CommandDefinition[] = [
  upCommand,
  downCommand,
  doctorCommand,
  runCommand,
  execCommand,
  psCommand,
  logsCommand,
  eventsCommand,
  statsCommand,
  topCommand,
  attachCommand,
  portForwardCommand,
  cpCommand,
  createCommand,
  updateCommand,
  startCommand,
  stopCommand,
  restartCommand,
  pauseCommand,
  resumeCommand,
  killCommand,
  waitCommand,
  inspectCommand,
  portCommand,
  rmCommand,
  imageCommand,
  networkCommand,
  volumeCommand,
  deviceCommand,
  nodeCommand,
  versionCommand,
];

const NOT_OF_CONTAINERS: ReadonlySet<CommandDefinition> = new Set([
  ...[upCommand, downCommand, doctorCommand, eventsCommand, imageCommand, networkCommand],
  ...[deviceCommand, nodeCommand, portForwardCommand, versionCommand, volumeCommand],
]);

/** The commands about containers under "container", as in docker: "container ls". */
const containerCommand: CommandDefinition = (bind) => {
  const group = new Command("container")
    .enablePositionalOptions()
    .description('the commands about containers: "container ls" is "ps"');
  for (const define of COMMANDS) if (!NOT_OF_CONTAINERS.has(define)) group.addCommand(define(bind));
  return group;
};

/** Names of the same commands in docker. They work, and the help does not list them. */
export const FAMILIAR_COMMANDS: readonly CommandDefinition[] = [
  containerCommand,
  (bind) => imageLsCommand(bind).name("images"),
  (bind) => imageRmCommand(bind).name("rmi"),
  (bind) => imageImportCommand(bind).name("load"),
];
