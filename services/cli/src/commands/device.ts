import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { deviceAddCommand } from "./device-add.ts";
import { deviceLsCommand } from "./device-ls.ts";
import { deviceRmCommand } from "./device-rm.ts";

export const deviceCommand: CommandDefinition = (bind) =>
  new Command("device")
    .description("disks and image files of the nodes, attached to running sandboxes")
    .addCommand(deviceAddCommand(bind))
    .addCommand(deviceLsCommand(bind).alias("list"))
    .addCommand(deviceRmCommand(bind));
