import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { volumeCreateCommand } from "./volume-create.ts";
import { volumeInspectCommand } from "./volume-inspect.ts";
import { volumeLsCommand } from "./volume-ls.ts";
import { volumePruneCommand } from "./volume-prune.ts";
import { volumeResizeCommand } from "./volume-resize.ts";
import { volumeRmCommand } from "./volume-rm.ts";

export const volumeCommand: CommandDefinition = (bind) =>
  new Command("volume")
    .description("volumes: file systems that outlive their sandboxes")
    .addCommand(volumeCreateCommand(bind))
    .addCommand(volumeLsCommand(bind).alias("list"))
    .addCommand(volumeInspectCommand(bind))
    .addCommand(volumeResizeCommand(bind))
    .addCommand(volumeRmCommand(bind).alias("remove"))
    .addCommand(volumePruneCommand(bind));
