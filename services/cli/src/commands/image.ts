import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { imageImportCommand } from "./image-import.ts";
import { imageLsCommand } from "./image-ls.ts";
import { imageRmCommand } from "./image-rm.ts";

export const imageCommand: CommandDefinition = (bind) => {
  const group = new Command("image").description("images: what containers are made of");
  for (const define of [imageImportCommand, imageLsCommand, imageRmCommand]) group.addCommand(define(bind));
  return group;
};
