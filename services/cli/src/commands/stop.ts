import { SandboxState } from "@paddock/protocol";
import { type AllOption, addTargets, eachTarget, targetsOf } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { addGrace, type GraceOptions, graceOf } from "../stop-grace.ts";

type StopOptions = GraceOptions & { readonly force?: boolean };

export const stopCommand: CommandDefinition = (bind) => {
  const command = addGrace(
    addTargets(
      describedCommand("stop", "stop sandboxes with their VMs, or single containers", [
        "stop web",
        "stop -t 5 web/main",
        "stop --force web",
      ]),
      "all sandboxes that are not stopped",
    ),
  ).option("--force", "stop the VM without asking its guest");
  return bind(command, async (run, { args }) => {
    const targets = await targetsOf(
      run,
      { args, all: command.opts<AllOption>().all },
      (state) => state !== SandboxState.STOPPED,
    );
    const options = command.opts<StopOptions>();
    const { force } = options;
    const grace = graceOf(options);
    await eachTarget(run, targets, {
      verb: { base: "stop", ing: "stopping", done: "stopped" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.stopSandbox({ requestId, sandboxId, force: force === true, ...grace }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.stopContainer({ requestId, sandboxId, containerId, ...grace }, options),
    });
  });
};
