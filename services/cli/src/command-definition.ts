/** A command: its words, options and help, and the function that runs it. */
import { Command } from "commander";
import type { CommandRun } from "./command-run.ts";

export type CommandBody = (run: CommandRun, command: Command) => Promise<void>;

/** Attaches the body to a command. The program passes it to each definition. */
export type Bind = (command: Command, body: CommandBody) => Command;

/** What a file in `commands/` exports. */
export type CommandDefinition = (bind: Bind) => Command;

/** A command whose help ends with examples, each without the leading "paddock". */
export function describedCommand(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ paddock ${example}`);
  return new Command(name).description(description).addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Collects the values of a repeatable option. */
export const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** The words to run in a container. A leading "--" separates them from options and is dropped. */
export const commandWords = (operands: readonly string[]): string[] =>
  operands[0] === "--" ? operands.slice(1) : [...operands];
