import { usageError } from "../cli-error.ts";
import { findInterface, findNetwork } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const networkDisconnectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("disconnect", "remove an interface from a running sandbox", [
    "network disconnect web lan1",
    "network disconnect web/lan1",
  ])
    .argument("<sandbox>", "id of a sandbox, or SANDBOX/INTERFACE as network ls -q prints it")
    .argument("[interface]", "id of the interface, or its name in the guest");
  return bind(command, async (run, { args: [target = "", second] }) => {
    const [name = "", first, ...rest] = target.split("/");
    const wanted = second ?? first;
    if (wanted === undefined || rest.length > 0 || (second !== undefined && first !== undefined))
      throw usageError("there must be one sandbox and one interface", "write SANDBOX INTERFACE");
    const found = await findNetwork(run, name);
    const { sandboxId } = found;
    const { interfaceId } = findInterface(found, wanted);
    const shown = `${sandboxId}/${interfaceId}`;
    await run.change(
      {
        what: `remove interface "${shown}"`,
        doing: `removing interface ${shown}`,
        done: () => `removed interface ${shown}`,
      },
      (api, requestId, call) => api.sandboxes.removeInterface({ requestId, sandboxId, interfaceId }, call),
    );
    if (run.isJson) run.printJson({ sandboxId, interfaceId });
    else run.print(`${shown}\n`);
  });
};
