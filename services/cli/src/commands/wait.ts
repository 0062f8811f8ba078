import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const waitCommand: CommandDefinition = (bind) => {
  const command = describedCommand("wait", "wait for containers to end and print their exit codes", [
    "wait job",
    "wait --timeout 5m job/main",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    for (const target of args) {
      const { sandboxId, containerId } = await findContainer(run, target);
      const { status } = await run.call(
        { what: `wait for "${sandboxId}/${containerId}"`, isOpenEnded: true },
        (api, options) => api.processes.waitProcess({ sandboxId, containerId, execId: containerId }, options),
      );
      run.print(`${status?.code ?? 0}\n`);
    }
  });
};
