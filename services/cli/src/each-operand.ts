/**
 * The same work on each operand of a command, in order: "rm a b c".
 *
 * One that fails is told and does not keep the others from their turn; the command then exits 1. A signal lets the work under way
 * end, and says what was not begun. With JSON the outcomes are one array, else a line each as soon as it is done.
 */
import { CliError } from "./cli-error.ts";
import type { CommandRun } from "./command-run.ts";
import { printable } from "./output/printable.ts";

/** What became of one: a line for stdout, and what JSON says of it. */
export type OperandOutcome = { readonly line: string; readonly json: Readonly<Record<string, unknown>> };

export type EachOptions = {
  /** Whether the first signal ends the work under way, as it may take any time. */
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
  using _turn = isOpenEnded ? undefined : endBetween(run, left);
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
  if (run.isJson) run.print(`${JSON.stringify(outcomes, null, 2)}\n`);
  if (left.length > 0)
    run.report(new CliError(`interrupted: not done for ${left.map(printable).join(", ")}`));
}

/** While more are waiting, a signal ends the command behind the work under way; the last one is ended itself. */
function endBetween(run: CommandRun, left: readonly string[]): Disposable {
  const before = run.onSignal;
  run.onSignal = (name) => {
    if (left.length === 0) return run.interrupt(name);
    run.interruptedBy ??= name;
    run.warn("ending behind the one under way; once more to end at once");
  };
  return {
    [Symbol.dispose]: () => {
      run.onSignal = before;
    },
  };
}
