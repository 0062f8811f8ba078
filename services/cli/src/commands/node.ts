import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { nodeCordonCommand, nodeUncordonCommand } from "./node-cordon.ts";
import { nodeLsCommand } from "./node-ls.ts";

export const nodeCommand: CommandDefinition = (bind) => {
  const group = new Command("node").description("nodes: the hosts of the fleet");
  for (const define of [nodeLsCommand, nodeCordonCommand, nodeUncordonCommand])
    group.addCommand(define(bind));
  return group;
};
