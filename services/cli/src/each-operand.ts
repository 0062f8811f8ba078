/**
 * Does the same work on each operand of a command, in order: "rm a b c".
 *
 * A failure is reported and does not stop the others; the command then exits with 1. After a signal the current work finishes,
 * and the operands that were not started are reported. JSON output is one array of outcomes; other output is one line per operand
 * when it is done.
 */
import { CliError } from "./cli-error.ts";
import type { CommandRun } from "./command-run.ts";
import { printable } from "./output/printable.ts";

/** The outcome for one operand: its line on stdout, and its fields in JSON. */
export type OperandOutcome = { readonly line: string; readonly json: Readonly<Record<string, unknown>> };

export type EachOptions = {
  /** Whether the first signal ends the current work, because the work may take any time. */
  readonly isOpenEnded?: boolean;
};

export async function eachOperand(
  run: CommandRun,
  operands: readonly string[],
  work: (operand: string) => Promise<OperandOutcome>,
  { isOpenEnded = false }: EachOptions = {},
): Promise<void> {
  const outcomes: Record<string, unknown>[] = [];
  const left = [...operands];
  using _signals = isOpenEnded ? undefined : endBetween(run, left);
  for (let operand = left.shift(); operand !== undefined; operand = left.shift()) {
    try {
      const { line, json } = await work(operand);
      outcomes.push({ target: operand, ...json });
      if (!run.isJson) run.print(`${line}\n`);
    } catch (error) {
      if (!(error instanceof CliError) && run.interruptedBy === undefined) throw error;
      outcomes.push({ target: operand, error: error instanceof Error ? error.message : String(error) });
      if (run.interruptedBy === undefined) run.report(error);
      else left.unshift(operand);
    }
    if (run.interruptedBy !== undefined) break;
  }
  if (run.isJson) run.printJson(outcomes);
  if (left.length > 0)
    run.report(new CliError(`interrupted: not done for ${left.map(printable).join(", ")}`));
}

/**
 * While more operands are left, a signal ends the command after the current one. During the last one, it ends the work itself.
 */
function endBetween(run: CommandRun, left: readonly string[]): Disposable {
  const before = run.onSignal;
  run.onSignal = (name) => {
    if (left.length === 0) return run.interrupt(name);
    run.interruptedBy ??= name;
    run.warn("stopping after the current one; send the signal again to stop now");
  };
  return {
    [Symbol.dispose]: () => {
      run.onSignal = before;
    },
  };
}
