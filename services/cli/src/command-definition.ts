/** One command: how it looks on the command line, and what it does. */
import { Command } from "commander";
import type { CommandRun } from "./command-run.ts";

export type CommandBody = (run: CommandRun, command: Command) => Promise<void>;

/** Ties a command to its body; given by the program. */
export type Bind = (command: Command, body: CommandBody) => Command;

/** What each file in commands/ exports. */
export type CommandDefinition = (bind: Bind) => Command;

/** A command with its examples beneath its help. */
export function describedCommand(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ paddock ${example}`);
  return new Command(name).description(description).addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Collects an option that may be given again and again. */
export const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** The command behind the first operand; a leading "--" only separates. */
export const carriedCommand = (operands: readonly string[]): string[] =>
  operands[0] === "--" ? operands.slice(1) : [...operands];
