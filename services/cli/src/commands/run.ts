import type { Command } from "commander";
import { CliError, EXIT_NOT_RUN, usageError } from "../cli-error.ts";
import { type CommandDefinition, commandWords, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { isNameTaken, newContainer, prepared, removePlace, runContainer } from "../container-lifecycle.ts";
import {
  addContainerOptions,
  type ContainerOptions,
  type ContainerPlace,
  nameOf,
  printPlace,
} from "../container-options.ts";
import { printable } from "../output/printable.ts";
import { runInForeground } from "../process/foreground-process.ts";

type RunOptions = ContainerOptions & { readonly rm?: boolean; readonly detach?: boolean };

export const runCommand: CommandDefinition = (bind) => {
  const command = describedCommand("run", "run a command in a new container, in a VM of its own", [
    "run --rm python:3.11 python3 -c 'print(42)'",
    "run --rm -it --cpus 2 --memory 512m debian:bookworm bash",
    "run -d --name web -p 8080:80 ./web.tar",
    "run -d --name db --cpus 0.5 --memory 256m --max-vcpus 4 --max-memory 2g debian:bookworm sleep inf",
    "run -d --name db -v data:/var/lib/data --disk 2g db:1",
    "run --rm -v ./src:/src:ro --read-only --tmpfs /tmp:exec build:1 make -C /src",
    "run --rm --egress none --allow 10.0.0.7:5432/tcp job:1",
    "run --rm --sandbox web debian:bookworm ps aux",
    "run --rm -it --entrypoint sh web:1 -x",
  ])
    .argument("<image>", "name or id of an image, or an archive such as ./app.tar")
    .argument(
      "[args...]",
      "arguments of the image's entrypoint, instead of the image's command; without an entrypoint, the command",
    )
    .option("--rm", "delete it when the command ends")
    .option("-d, --detach", "print its id and do not wait")
    .passThroughOptions();
  return bind(addContainerOptions(command), runBody);
};

async function runBody(run: CommandRun, command: Command): Promise<void> {
  run.failureCode = EXIT_NOT_RUN;
  const options = command.opts<RunOptions>();
  const [image = "", ...operands] = command.args;
  if (options.detach && options.rm)
    throw usageError("--rm needs someone who waits for the end", "leave out --detach");
  if (options.detach && (options.interactive || options.tty)) {
    throw usageError(
      "--detach has no terminal and no stdin to give",
      "leave out -i and -t, and use paddock exec",
    );
  }
  const wanted = newContainer(run, options, { image, args: commandWords(operands) });
  const { place } = wanted;
  const container = await prepared(run, wanted);
  await using undo = new AsyncDisposableStack();
  if (options.rm) undo.defer(() => run.cleanUp(() => removePlace(run, place)));
  let started: Awaited<ReturnType<typeof runContainer>>;
  try {
    started = await runContainer(run, container);
  } catch (error) {
    // What has the name already is not ours to delete.
    if (isNameTaken(error)) undo.move();
    else if (!options.rm && run.interruptedBy) await run.cleanUp(() => removePlace(run, place));
    throw error;
  }
  if (options.detach) {
    printPlace(run, place);
    const { reason = "", code = 0 } = started?.exitStatus ?? {};
    // The container exists and its name was printed, so say why its command does not run.
    if (reason !== "") throw new CliError(`cannot execute ${printable(reason)}`, { exitCode: code });
    return;
  }
  try {
    run.exitCode = await followInit(run, place, options);
  } catch (error) {
    // A command that could not be executed counts as ended.
    if (!(error instanceof CliError) || error.exitCode === EXIT_NOT_RUN) throw error;
    run.report(error);
  }
  if (!options.rm && place.isNewSandbox && !run.interruptedBy) await stopFinished(run, place.sandboxId);
}

/** Stops a VM whose only command has ended, to free its memory. Its record, log and files stay. */
async function stopFinished(run: CommandRun, sandboxId: string): Promise<void> {
  await run.change(
    {
      what: `stop sandbox "${sandboxId}"`,
      doing: `stopping sandbox ${sandboxId}`,
      done: () => `stopped sandbox ${sandboxId}; it is kept until "paddock rm ${sandboxId}"`,
    },
    (api, requestId, call) => api.sandboxes.stopSandbox({ requestId, sandboxId }, call),
  );
}

/** Attaches at the first byte of output, so that nothing is lost. */
const followInit = (run: CommandRun, place: ContainerPlace, options: RunOptions): Promise<number> =>
  runInForeground(run, {
    what: `follow container "${nameOf(place)}"`,
    address: { sandboxId: place.sandboxId, containerId: place.containerId, execId: place.containerId },
    opening: { kind: "attach", stdoutOffset: 0n, stderrOffset: 0n },
    stdin: options.interactive === true,
    terminal: options.tty === true,
  });
