import { SandboxState } from "@paddock/protocol";
import { type AllOption, addTargets, eachTarget, targetsOf } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const startCommand: CommandDefinition = (bind) => {
  const command = addTargets(
    describedCommand("start", "start sandboxes with their containers, or single containers", [
      "start job",
      "start job/helper",
    ]),
    "every sandbox that is ready or stopped",
  );
  return bind(command, async (run, { args }) => {
    const targets = await targetsOf(
      run,
      { args, all: command.opts<AllOption>().all },
      (state) => state === SandboxState.READY || state === SandboxState.STOPPED,
    );
    await eachTarget(run, targets, {
      verb: { base: "start", ing: "starting", done: "started" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.startSandbox({ requestId, sandboxId }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.startContainer({ requestId, sandboxId, containerId }, options),
    });
  });
};
