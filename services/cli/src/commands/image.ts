import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { imageImportCommand } from "./image-import.ts";
import { imageInspectCommand } from "./image-inspect.ts";
import { imageLsCommand } from "./image-ls.ts";
import { imageRmCommand } from "./image-rm.ts";

export const imageCommand: CommandDefinition = (bind) =>
  new Command("image")
    .description("images of containers")
    .addCommand(imageImportCommand(bind).alias("load"))
    .addCommand(imageLsCommand(bind).alias("list"))
    .addCommand(imageInspectCommand(bind))
    .addCommand(imageRmCommand(bind).alias("remove"));
