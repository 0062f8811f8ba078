import { usageError } from "../cli-error.ts";
import { findSandbox } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const deviceRmCommand: CommandDefinition = (bind) => {
  const command = describedCommand("rm", "detach a device from a sandbox", [
    "device rm web data",
    "device rm web/data --force",
  ])
    .argument("<sandbox>", "id of a sandbox, or SANDBOX/DEVICE as device ls -q prints it")
    .argument("[device]", "id of the device")
    .option("-f, --force", "also if the guest uses it: what uses it there gets I/O errors");
  return bind(command, async (run, { args: [target = "", second] }) => {
    const [name = "", first, ...rest] = target.split("/");
    const deviceId = second ?? first;
    if (!deviceId || rest.length > 0 || (second !== undefined && first !== undefined))
      throw usageError("there must be one sandbox and one device", "write SANDBOX DEVICE");
    const { sandboxId } = await findSandbox(run, name);
    const force = command.opts<{ readonly force?: boolean }>().force === true;
    const shown = `${sandboxId}/${deviceId}`;
    await run.change(
      {
        what: `remove device "${shown}"`,
        doing: `removing device ${shown}`,
        done: () => `removed device ${shown}`,
      },
      (api, requestId, call) => api.sandboxes.removeDevice({ requestId, sandboxId, deviceId, force }, call),
    );
    if (run.isJson) run.printJson({ sandboxId, deviceId });
    else run.print(`${shown}\n`);
  });
};
