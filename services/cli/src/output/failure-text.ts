/** Prints a failure to stderr: what failed, details, a hint, and the request id, which is in the api's log. */
import type { Writable } from "node:stream";
import pc from "picocolors";
import { CliError } from "../cli-error.ts";
import type { Colors } from "./progress.ts";

export type FailureOutput = {
  readonly stderr: Writable;
  readonly colors: Colors;
  /** Whether to show the stack and the cause. */
  readonly verbose: boolean;
};

export function writeFailure(error: unknown, { stderr, colors, verbose }: FailureOutput): void {
  const lines: string[] = [];
  if (error instanceof CliError) {
    lines.push(`${colors.red("error:")} ${error.message}`, ...error.details);
    if (error.hint !== undefined) lines.push(`${colors.cyan("hint:")} ${error.hint}`);
    if (error.requestId !== undefined) lines.push(`${colors.dim("request id:")} ${error.requestId}`);
    if (verbose && error.cause instanceof Error) lines.push(error.cause.stack ?? error.cause.message);
  } else {
    lines.push(`${colors.red("error:")} ${error instanceof Error ? error.message : String(error)}`);
    lines.push("hint: this is a bug of paddock; -v shows the stack");
    if (verbose && error instanceof Error) lines.push(error.stack ?? "");
  }
  stderr.write(`${lines.join("\n")}\n`);
}

export const colorsOf = (isColored: boolean): Colors => pc.createColors(isColored);
