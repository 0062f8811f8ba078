import { SandboxState } from "@paddock/protocol";
import { type AllOption, addTargets, eachTarget, targetsOf } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const pauseCommand: CommandDefinition = (bind) => {
  const command = addTargets(
    describedCommand("pause", "freeze sandboxes (their vCPUs) or single containers", [
      "pause web",
      "pause web/main",
    ]),
    "all running sandboxes",
  );
  return bind(command, async (run, { args }) => {
    const targets = await targetsOf(
      run,
      { args, all: command.opts<AllOption>().all },
      (state) => state === SandboxState.RUNNING,
    );
    await eachTarget(run, targets, {
      verb: { base: "pause", ing: "pausing", done: "paused" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.pauseSandbox({ requestId, sandboxId }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.pauseContainer({ requestId, sandboxId, containerId }, options),
    });
  });
};
