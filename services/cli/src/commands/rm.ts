import { type AllOption, addTargets, eachTarget, targetsOf } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

type RmOptions = { readonly force?: boolean };

export const rmCommand: CommandDefinition = (bind) => {
  const command = addTargets(
    describedCommand("rm", "delete sandboxes with their containers, or single containers", [
      "rm job",
      "rm -f web",
      "rm web/helper",
      "rm --all --force",
    ]),
    "every sandbox",
  ).option("-f, --force", "stop it first if it runs");
  return bind(command, async (run, { args }) => {
    const targets = await targetsOf(run, { args, all: command.opts<AllOption>().all });
    const force = command.opts<RmOptions>().force === true;
    await eachTarget(run, targets, {
      verb: { base: "delete", ing: "deleting", done: "deleted" },
      sandbox: (sandboxId, requestId) => (api, options) =>
        api.sandboxes.deleteSandbox({ requestId, sandboxId, force }, options),
      container: (sandboxId, containerId, requestId) => (api, options) =>
        api.containers.deleteContainer({ requestId, sandboxId, containerId, force }, options),
    });
  });
};
