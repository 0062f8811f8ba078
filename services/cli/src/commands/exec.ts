import { EXIT_NOT_RUN, usageError } from "../cli-error.ts";
import { newId } from "../client/generated-id.ts";
import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, commandWords, describedCommand } from "../command-definition.ts";
import { startInBackground } from "../process/background-process.ts";
import { runInForeground } from "../process/foreground-process.ts";
import { addProcessOptions, type ProcessOptions, processSpec } from "../process-options.ts";

type ExecOptions = ProcessOptions & { readonly detach?: boolean };

export const execCommand: CommandDefinition = (bind) => {
  const command = describedCommand("exec", "run another command in a running container", [
    "exec web -- ls -l /",
    "exec -it web bash",
    "exec -d web -- /usr/sbin/sshd -D",
    "cat data.csv | paddock exec -i web/main -- wc -l",
  ])
    .argument("<target>", "SANDBOX or SANDBOX/CONTAINER")
    .argument("<command...>", "what to run")
    .option("-d, --detach", "start it, print its id and do not wait; attach --exec shows its output")
    .passThroughOptions();
  return bind(addProcessOptions(command), async (run, { args: [target = "", ...operands] }) => {
    run.failureCode = EXIT_NOT_RUN;
    const options = command.opts<ExecOptions>();
    const args = commandWords(operands);
    if (args.length === 0)
      throw usageError("there is no command to run", "write paddock exec SANDBOX -- COMMAND");
    if (options.detach && (options.interactive || options.tty))
      throw usageError("--detach has no terminal and no stdin to give", "leave out -i and -t, or -d");
    const process = processSpec(run, options, args);
    const { sandboxId, containerId } = await findContainer(run, target);
    const what = `run a command in "${sandboxId}/${containerId}"`;
    const address = { sandboxId, containerId, execId: newId() };
    if (options.detach) return startInBackground(run, { what, address, process });
    run.exitCode = await runInForeground(run, {
      what,
      address,
      opening: { kind: "exec", process },
      stdin: options.interactive === true,
      terminal: options.tty === true,
    });
  });
};
