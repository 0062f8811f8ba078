import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { nodeLsCommand } from "./node-ls.ts";

export const nodeCommand: CommandDefinition = (bind) => {
  const group = new Command("node").description("nodes: the hosts of the fleet");
  return group.addCommand(nodeLsCommand(bind));
};
