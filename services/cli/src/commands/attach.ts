import { EXIT_NOT_RUN } from "../cli-error.ts";
import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { runInForeground } from "../process/foreground-process.ts";

type AttachOptions = { readonly interactive?: boolean; readonly exec?: string };

export const attachCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "attach",
    "connect to a container's command: its recent output, then its output as it comes",
    ["attach web", "attach -i web/shell"],
  )
    .argument("<target>", "SANDBOX or SANDBOX/CONTAINER")
    .option("-i, --interactive", "send stdin to it")
    .option("--exec <id>", "connect to this exec instead");
  return bind(command, async (run, { args: [target = ""] }) => {
    run.failureCode = EXIT_NOT_RUN;
    const options = command.opts<AttachOptions>();
    const { sandboxId, containerId, container } = await findContainer(run, target);
    run.exitCode = await runInForeground(run, {
      what: `attach to "${sandboxId}/${containerId}"`,
      address: { sandboxId, containerId, execId: options.exec ?? containerId },
      opening: { kind: "attach", stdoutOffset: undefined, stderrOffset: undefined },
      stdin: options.interactive === true,
      terminal: container.terminal,
    });
  });
};
