/** Options of a process: the same for init processes and execs. */
import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProcessSpec, ProcessSpecSchema } from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { collect } from "./command-definition.ts";
import type { CommandRun } from "./command-run.ts";
import { isTerminal, terminalSize } from "./output/terminal.ts";

export type ProcessOptions = {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
};

export const addProcessOptions = (command: Command): Command =>
  command
    .option("-i, --interactive", "send stdin to it")
    .option("-t, --tty", "give it a terminal")
    .option(
      "-e, --env <KEY=VALUE>",
      "environment variable; KEY alone takes the value of this shell; may be repeated",
      collect,
    )
    .option("--env-file <file>", "file with a KEY=VALUE on each line; may be repeated", collect)
    .option("-w, --workdir <path>", "working directory in the container")
    .option("-u, --user <user>", '"name", "uid", "name:group" or "uid:gid"');

export function processSpec(
  run: CommandRun,
  options: ProcessOptions,
  args: readonly string[],
): Exclude<MessageInitShape<typeof ProcessSpecSchema>, ProcessSpec> {
  const { stdin, stdout, env } = run.around;
  const terminal = options.tty === true;
  if (terminal && options.interactive && !isTerminal(stdin)) {
    throw usageError("-t needs a terminal, and stdin is not one", "leave out -t, or -i");
  }
  const size = terminal ? terminalSize(stdout) : undefined;
  const variables = [...(options.envFile ?? []).flatMap(readEnvFile), ...(options.env ?? [])].flatMap(
    (text) => variable(text, env),
  );
  if (terminal && !variables.some((v) => v.startsWith("TERM=")))
    variables.push(`TERM=${env.TERM || "xterm"}`);
  return {
    args: [...args],
    env: variables,
    cwd: options.workdir ?? "",
    user: options.user ?? "",
    terminal,
    stdin: options.interactive === true,
    ...(size ? { ttySize: size } : {}),
  };
}

function variable(text: string, env: Readonly<Record<string, string | undefined>>): string[] {
  if (text.startsWith("=") || text === "")
    throw usageError(`"${text}" has no name`, "write KEY=VALUE, or KEY to pass on your own");
  if (text.includes("=")) return [text];
  const ours = env[text];
  return ours === undefined ? [] : [`${text}=${ours}`];
}

function readEnvFile(file: string): string[] {
  try {
    const lines = readFileSync(file, "utf8").split(/\r?\n/);
    return lines.filter((line) => line.trim() !== "" && !line.trimStart().startsWith("#"));
  } catch (error) {
    throw usageError(`--env-file: cannot read it: ${error instanceof Error ? error.message : String(error)}`);
  }
}
