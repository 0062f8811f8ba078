import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { eachTarget } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { parseSpan } from "../output/quantities.ts";

type StopOptions = { readonly grace?: string; readonly force?: boolean };

export const stopCommand: CommandDefinition = (bind) => {
  const command = describedCommand("stop", "stop sandboxes with their VMs, or single containers", [
    "stop web",
    "stop --grace 1s web/main",
    "stop --force web",
  ])
    .argument("<target...>", "SANDBOX or SANDBOX/CONTAINER")
    .option("--grace <span>", "time between SIGTERM and SIGKILL (10s)")
    .option("--force", "end the VM of a sandbox without asking its guest");
  return bind(command, async (run, { args }) => {
    const { grace: text, force } = command.opts<StopOptions>();
    const grace = text === undefined ? {} : { grace: durationFromMs(parseSpan(text)) };
    await eachTarget(run, args, {
      verb: { base: "stop", ing: "stopping", done: "stopped" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.stopSandbox({ requestId, sandboxId, force: force === true, ...grace }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.stopContainer({ requestId, sandboxId, containerId, ...grace }, options),
    });
  });
};
