import { eachTarget } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const resumeCommand: CommandDefinition = (bind) => {
  const command = describedCommand("resume", "let paused sandboxes or containers go on", [
    "resume web",
    "resume web/main",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    await eachTarget(run, args, {
      verb: { base: "resume", ing: "resuming", done: "resumed" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.resumeSandbox({ requestId, sandboxId }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.resumeContainer({ requestId, sandboxId, containerId }, options),
    });
  });
};
