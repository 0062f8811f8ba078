import { eachTarget } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const pauseCommand: CommandDefinition = (bind) => {
  const command = describedCommand("pause", "freeze sandboxes (their vCPUs) or single containers", [
    "pause web",
    "pause web/main",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    await eachTarget(run, args, {
      verb: { base: "pause", ing: "pausing", done: "paused" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.pauseSandbox({ requestId, sandboxId }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.pauseContainer({ requestId, sandboxId, containerId }, options),
    });
  });
};
