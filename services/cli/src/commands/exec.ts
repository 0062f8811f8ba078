import { EXIT_NOT_RUN, usageError } from "../cli-error.ts";
import { newId } from "../client/generated-id.ts";
import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, commandWords, describedCommand } from "../command-definition.ts";
import { runInForeground } from "../process/foreground-process.ts";
import { addProcessOptions, type ProcessOptions, processSpec } from "../process-options.ts";

export const execCommand: CommandDefinition = (bind) => {
  const command = describedCommand("exec", "run another command in a running container", [
    "exec web -- ls -l /",
    "exec -it web bash",
    "cat data.csv | paddock exec -i web/main -- wc -l",
  ])
    .argument("<target>", "SANDBOX or SANDBOX/CONTAINER")
    .argument("<command...>", "what to run")
    .passThroughOptions();
  return bind(addProcessOptions(command), async (run, { args: [target = "", ...operands] }) => {
    run.failureCode = EXIT_NOT_RUN;
    const options = command.opts<ProcessOptions>();
    const args = commandWords(operands);
    if (args.length === 0)
      throw usageError("there is no command to run", "write paddock exec SANDBOX -- COMMAND");
    const process = processSpec(run, options, args);
    const { sandboxId, containerId } = await findContainer(run, target);
    run.exitCode = await runInForeground(run, {
      what: `run a command in "${sandboxId}/${containerId}"`,
      address: { sandboxId, containerId, execId: newId() },
      opening: { kind: "exec", process },
      stdin: options.interactive === true,
      terminal: options.tty === true,
    });
  });
};
