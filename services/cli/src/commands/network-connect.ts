import { AddInterfaceResponseSchema } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { newId } from "../client/generated-id.ts";
import { findNetwork } from "../client/networks.ts";
import { type CommandDefinition, collect, describedCommand } from "../command-definition.ts";
import { type InterfaceOptions, parseInterface } from "../network/interface-words.ts";
import { columns } from "../output/columns.ts";
import { toJsonText } from "../output/json.ts";
import { INTERFACE_HEADING, interfaceRow } from "../output/network-text.ts";

export const networkConnectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("connect", "add an interface to a running sandbox", [
    "network connect web",
    "network connect web --name lan1 --ip 10.213.7.1 --mtu 1400",
    "network connect web --mac 02:00:00:00:00:17 -o json",
  ])
    .argument("<sandbox>", "id of a sandbox")
    .option("--ip <address>", "address, in place of those that the node chooses; may be repeated", collect)
    .option("--mac <address>", "MAC address, in place of a generated one")
    .option("--mtu <bytes>", "maximum transmission unit: 576 to 9216 (default: that of the node's way out)")
    .option("--name <name>", "name in the guest, and id (default: the next netN, with a generated id)");
  return bind(command, async (run, { args: [target = ""] }) => {
    const options = command.opts<InterfaceOptions>();
    const parts = parseInterface(options);
    const wanted = { ...parts, interfaceId: parts.name || newId() };
    const { sandboxId } = await findNetwork(run, target);
    const response = await run.change(
      {
        what: `add an interface to sandbox "${sandboxId}"`,
        doing: `adding an interface to sandbox ${sandboxId}`,
        done: () => `added an interface to sandbox ${sandboxId}`,
      },
      (api, requestId, call) => api.sandboxes.addInterface({ requestId, sandboxId, interface: wanted }, call),
    );
    if (run.isJson) return run.print(toJsonText(AddInterfaceResponseSchema, response));
    const added = response.interface;
    if (!added) throw new CliError(`the api answered without the interface of sandbox "${sandboxId}"`);
    if (run.settings.quiet) return run.print(`${sandboxId}/${added.interfaceId}\n`);
    run.print(columns([INTERFACE_HEADING, interfaceRow(sandboxId, added)]));
  });
};
