import { Command } from "commander";
import type { CommandDefinition } from "../command-definition.ts";
import { networkConnectCommand } from "./network-connect.ts";
import { networkDisconnectCommand } from "./network-disconnect.ts";
import { networkInspectCommand } from "./network-inspect.ts";
import { networkLogCommand } from "./network-log.ts";
import { networkLsCommand } from "./network-ls.ts";
import { networkRouteCommand } from "./network-route.ts";
import { networkUpdateCommand } from "./network-update.ts";

export const networkCommand: CommandDefinition = (bind) =>
  new Command("network")
    .description("networks of sandboxes: interfaces, routes, and what may be reached")
    .addCommand(networkLsCommand(bind).alias("list"))
    .addCommand(networkInspectCommand(bind))
    .addCommand(networkLogCommand(bind))
    .addCommand(networkUpdateCommand(bind))
    .addCommand(networkConnectCommand(bind))
    .addCommand(networkDisconnectCommand(bind))
    .addCommand(networkRouteCommand(bind));
