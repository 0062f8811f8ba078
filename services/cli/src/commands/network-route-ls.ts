import { type Route, RouteSchema } from "@paddock/protocol";
import { findNetwork, warnOfDrift } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { routeText, scopeText } from "../network/route-words.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";

const HEADING = ["DESTINATION", "GATEWAY", "INTERFACE", "SOURCE", "METRIC", "SCOPE", "ONLINK"];

export const networkRouteLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "ls",
    "list the routes of a sandbox; with -q in the words that network route set takes",
    ["network route ls web", "network route ls -q web", "network route ls web -o json"],
  ).argument("<sandbox>", "id of a sandbox");
  return bind(command, async (run, { args: [target = ""] }) => {
    const { sandboxId } = await findNetwork(run, target);
    const what = `list the routes of sandbox "${sandboxId}"`;
    const { routes, drift } = await run.call({ what }, (api, options) =>
      api.sandboxes.listRoutes({ sandboxId }, options),
    );
    warnOfDrift(run, sandboxId, drift);
    printRoutes(run, routes);
  });
};

export function printRoutes(run: CommandRun, routes: readonly Route[]): void {
  if (run.isJson) run.print(toJsonArray(RouteSchema, routes));
  else if (run.settings.quiet) run.print(routes.map((route) => `${printable(routeText(route))}\n`).join(""));
  else run.print(columns([HEADING, ...routes.map(rowOf)]));
}

const rowOf = ({ destination, gateway, interfaceId, source, metric, scope, onlink }: Route): string[] =>
  [
    destination,
    gateway || "-",
    interfaceId,
    source || "-",
    metric === 0 ? "-" : String(metric),
    scopeText(scope) ?? "-",
    onlink ? "yes" : "-",
  ].map(printable);
