/** The command line as a whole: from words to an exit code. */
import { constants } from "node:os";
import { Command, CommanderError } from "commander";
import pc from "picocolors";
import { CliError, EXIT_BY_SIGPIPE, EXIT_USAGE } from "./cli-error.ts";
import { CLI_VERSION } from "./cli-version.ts";
import type { Bind } from "./command-definition.ts";
import { CommandRun, type Surroundings } from "./command-run.ts";
import { COMMANDS } from "./commands/all.ts";
import { OutputClosedError } from "./process/output-cursor.ts";
import { isTerminal } from "./process/terminal.ts";
import { addGlobalOptions } from "./settings.ts";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const;

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
    .enablePositionalOptions()
    .showHelpAfterError('hint: see "paddock --help", or --help after a command');
  for (const define of COMMANDS) program.addCommand(define(bind));
  settle(program, around);
  return program;
}

/** Our streams instead of the process's, and exceptions instead of its end; also for nested commands. */
function settle(command: Command, around: Surroundings): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void around.stdout.write(text),
    writeErr: (text) => void around.stderr.write(text),
  });
  command.showHelpAfterError('hint: see "paddock --help", or --help after a command');
  for (const nested of command.commands) settle(nested, around);
}

async function runCommand(
  around: Surroundings,
  command: Command,
  body: Parameters<Bind>[1],
): Promise<number> {
  using run = new CommandRun(around, command);
  const listeners = FORWARDED.map((name) => ({ name, listener: () => run.onSignal(name) }));
  for (const { name, listener } of listeners) around.signals.on(name, listener);
  try {
    await body(run, command);
    return run.exitCode;
  } catch (error) {
    if (run.interruptedBy) return 128 + constants.signals[run.interruptedBy];
    if (error instanceof OutputClosedError) return EXIT_BY_SIGPIPE;
    return reportFailure(around, error, run.settings.verbose);
  } finally {
    for (const { name, listener } of listeners) around.signals.off(name, listener);
  }
}

function reportFailure(around: Surroundings, error: unknown, verbose: boolean): number {
  const colors = pc.createColors(isTerminal(around.stderr) && around.env.NO_COLOR === undefined);
  const write = (text: string) => around.stderr.write(`${text}\n`);
  if (!(error instanceof CliError)) {
    write(`${colors.red("error:")} ${error instanceof Error ? error.message : String(error)}`);
    write("hint: this is a fault of paddock itself; -v shows where");
    if (verbose && error instanceof Error) write(error.stack ?? "");
    return 1;
  }
  write(`${colors.red("error:")} ${error.message}`);
  for (const detail of error.details) write(detail);
  if (error.hint !== undefined) write(`${colors.cyan("hint:")} ${error.hint}`);
  if (error.requestId !== undefined) write(`${colors.dim("request id:")} ${error.requestId}`);
  if (verbose && error.cause instanceof Error) write(error.cause.stack ?? error.cause.message);
  return error.exitCode;
}
