import { eachTarget } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const startCommand: CommandDefinition = (bind) => {
  const command = describedCommand("start", "start sandboxes with their containers, or single containers", [
    "start job",
    "start job/helper",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    await eachTarget(run, args, {
      verb: { base: "start", ing: "starting", done: "started" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.startSandbox({ requestId, sandboxId }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.startContainer({ requestId, sandboxId, containerId }, options),
    });
  });
};
