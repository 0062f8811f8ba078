import { SandboxState } from "@paddock/protocol";
import { type AllOption, addTargets, eachTarget, targetsOf } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const resumeCommand: CommandDefinition = (bind) => {
  const command = addTargets(
    describedCommand("resume", "resume paused sandboxes or containers", ["resume web", "resume web/main"]),
    "all paused sandboxes",
  ).alias("unpause");
  return bind(command, async (run, { args }) => {
    const targets = await targetsOf(
      run,
      { args, all: command.opts<AllOption>().all },
      (state) => state === SandboxState.PAUSED,
    );
    await eachTarget(run, targets, {
      verb: { base: "resume", ing: "resuming", done: "resumed" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.resumeSandbox({ requestId, sandboxId }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.resumeContainer({ requestId, sandboxId, containerId }, options),
    });
  });
};
