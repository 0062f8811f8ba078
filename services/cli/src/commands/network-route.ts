import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { networkRouteLsCommand } from "./network-route-ls.ts";
import { networkRouteSetCommand } from "./network-route-set.ts";

export const networkRouteCommand: CommandDefinition = (bind) =>
  new Command("route")
    .description("routes of a sandbox")
    .addCommand(networkRouteLsCommand(bind).alias("list"))
    .addCommand(networkRouteSetCommand(bind));
