import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { attachCommand } from "./attach.ts";
import { createCommand } from "./create.ts";
import { execCommand } from "./exec.ts";
import { inspectCommand } from "./inspect.ts";
import { killCommand } from "./kill.ts";
import { logsCommand } from "./logs.ts";
import { pauseCommand } from "./pause.ts";
import { psCommand } from "./ps.ts";
import { restartCommand } from "./restart.ts";
import { resumeCommand } from "./resume.ts";
import { rmCommand } from "./rm.ts";
import { runCommand } from "./run.ts";
import { startCommand } from "./start.ts";
import { statsCommand } from "./stats.ts";
import { stopCommand } from "./stop.ts";
import { topCommand } from "./top.ts";
import { updateCommand } from "./update.ts";
import { waitCommand } from "./wait.ts";

const OF_CONTAINERS: readonly CommandDefinition[] = [
  runCommand,
  execCommand,
  psCommand,
  logsCommand,
  statsCommand,
  topCommand,
  attachCommand,
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
  rmCommand,
];

/** The same commands under "container", as in docker: "container ls". */
export const containerCommand: CommandDefinition = (bind) => {
  const group = new Command("container")
    .enablePositionalOptions()
    .description('the commands about containers: "container ls" is "ps"');
  for (const define of OF_CONTAINERS) group.addCommand(define(bind));
  return group;
};
