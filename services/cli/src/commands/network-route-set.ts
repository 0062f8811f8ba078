import { usageError } from "../cli-error.ts";
import { findInterface, findNetwork, type NetworkTarget, onlyInterface } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { parseRoutes, type RouteWords } from "../network/route-words.ts";
import { printRoutes } from "./network-route-ls.ts";

type SetOptions = { readonly clear?: boolean };

export const networkRouteSetCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "set",
    "replace the routes of a running sandbox by these: DEST [via GATEWAY] [dev INTERFACE] [src ADDRESS] [metric N] [scope global|link|host] [onlink]",
    [
      "network route set web default via 10.213.0.1 onlink",
      "network route set web 'default via 10.213.0.1 dev eth0 onlink' '10.9.0.0/16 dev lan1 metric 100'",
      "network route set web $(paddock network route ls -q web) 198.51.100.7 dev eth0 scope link",
    ],
  )
    .argument("<sandbox>", "id of a sandbox")
    .argument("[route...]", "a destination and what belongs to it, in one word or several, as for ip route")
    .option("--clear", "leave no route");
  return bind(command, async (run, { args: [target = "", ...operands] }) => {
    const { clear = false } = command.opts<SetOptions>();
    const words = parseRoutes(operands);
    if (clear !== (words.length === 0))
      throw usageError(
        clear ? "--clear and routes exclude each other" : "there is no route to set",
        "write routes such as default via 10.213.0.1 onlink, or --clear for none",
      );
    const found = await findNetwork(run, target);
    const { sandboxId } = found;
    const routes = words.map((each) => routeOf(found, each));
    const response = await run.change(
      {
        what: `set the routes of sandbox "${sandboxId}"`,
        doing: `setting the routes of sandbox ${sandboxId}`,
        done: () => `set the routes of sandbox ${sandboxId}`,
      },
      (api, requestId, call) => api.sandboxes.updateRoutes({ requestId, sandboxId, routes }, call),
    );
    printRoutes(run, response.routes);
  });
};

const routeOf = (found: NetworkTarget, { device, ...route }: RouteWords) => ({
  ...route,
  interfaceId: (device === "" ? onlyInterface(found) : findInterface(found, device)).interfaceId,
});
