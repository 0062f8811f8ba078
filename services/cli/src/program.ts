/** The command line as a whole: from its words to an exit code. */

import { OutputClosedError } from "@paddock/client";
import { Command, CommanderError } from "commander";
import { CliError, EXIT_BY_SIGPIPE, EXIT_USAGE } from "./cli-error.ts";
import { CLI_VERSION } from "./cli-version.ts";
import type { Bind } from "./command-definition.ts";
import { CommandRun, type Surroundings } from "./command-run.ts";
import { COMMANDS, FAMILIAR_COMMANDS } from "./commands/all.ts";
import { colorsOf, writeFailure } from "./output/failure-text.ts";
import { isTerminal } from "./output/terminal.ts";
import { addGlobalOptions } from "./settings.ts";
import { exitCodeOf, listenToSignals } from "./signals.ts";

/** Runs one command line (without the names of the interpreter and the program). Never throws. */
export async function runCli(words: readonly string[], around: Surroundings): Promise<number> {
  const outcome = { exitCode: 0 };
  const program = buildProgram(around, (command, body) =>
    addGlobalOptions(command).action(async () => {
      outcome.exitCode = await runCommand(around, command, body);
    }),
  );
  try {
    await program.parseAsync([...words], { from: "user" });
    return outcome.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    return reportFailure(around, error, false);
  }
}

function buildProgram(around: Surroundings, bind: Bind): Command {
  const program = addGlobalOptions(new Command("paddock"))
    .description("containers inside virtual machines, on a fleet of hosts")
    .version(CLI_VERSION, "--version", "print the version of this program")
    .enablePositionalOptions();
  for (const define of COMMANDS) program.addCommand(define(bind));
  for (const define of FAMILIAR_COMMANDS) program.addCommand(define(bind), { hidden: true });
  program.addHelpText("after", "\nimages, rmi, load, unpause and container ls work as in docker.");
  configure(program, around);
  return program;
}

/** Makes a command and those nested in it write to our streams, and throw instead of exiting. */
function configure(command: Command, around: Surroundings): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void around.stdout.write(text),
    writeErr: (text) => void around.stderr.write(text),
  });
  command.showHelpAfterError('hint: see "paddock --help", or --help after a command');
  for (const nested of command.commands) configure(nested, around);
}

async function runCommand(
  around: Surroundings,
  command: Command,
  body: Parameters<Bind>[1],
): Promise<number> {
  using run = new CommandRun(around, command);
  using _signals = listenToSignals(around, run);
  try {
    await body(run, command);
    return run.interruptedBy ? exitCodeOf(run.interruptedBy) : run.exitCode;
  } catch (error) {
    if (run.interruptedBy) return exitCodeOf(run.interruptedBy);
    if (error instanceof OutputClosedError) return EXIT_BY_SIGPIPE;
    return reportFailure(around, error, run.settings.verbose);
  }
}

function reportFailure(around: Surroundings, error: unknown, verbose: boolean): number {
  const colors = colorsOf(isTerminal(around.stderr) && around.env.NO_COLOR === undefined);
  writeFailure(error, { stderr: around.stderr, colors, verbose });
  return error instanceof CliError ? error.exitCode : 1;
}
