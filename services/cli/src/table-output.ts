/** Output of a table that is printed repeatedly: redrawn in place on a terminal, otherwise line after line. */
import { usageError } from "./cli-error.ts";
import type { CommandRun } from "./command-run.ts";
import { Columns, columns } from "./output/columns.ts";
import { LiveTable } from "./output/live-table.ts";
import { parseSpan } from "./output/quantities.ts";
import { isTerminal } from "./output/terminal.ts";

export type TableOutput = Disposable & {
  /** Shows the rows, in place of the previous ones or after them. Rejects if stdout is closed. */
  show(rows: readonly (readonly string[])[]): Promise<void>;
};

const LEAST_INTERVAL_MS = 100;

/** Parses the time between two tables, in milliseconds. */
export function parseInterval(text: string): number {
  const intervalMs = parseSpan(text);
  if (intervalMs >= LEAST_INTERVAL_MS) return intervalMs;
  throw usageError(`--interval ${text} is too short`, 'at least "100ms"');
}

/** `isLive`: more than one table will be printed. */
export function tableOutput(
  run: Pick<CommandRun, "around" | "write" | "beforeExit">,
  heading: readonly string[],
  { isLive }: { readonly isLive: boolean },
): TableOutput {
  const { around } = run;
  if (isLive && isTerminal(around.stdout) && around.env.TERM !== "dumb") {
    const table = new LiveTable(around.stdout);
    const lastWords = run.beforeExit(() => table[Symbol.dispose]());
    return {
      show: (rows) => table.draw(columns([heading, ...rows])),
      [Symbol.dispose]: () => {
        lastWords[Symbol.dispose]();
        table[Symbol.dispose]();
      },
    };
  }
  const all = new Columns();
  let isFirst = true;
  return {
    show: (rows) => {
      const text = all.text(isFirst ? [heading, ...rows] : rows);
      isFirst = false;
      return run.write(text);
    },
    [Symbol.dispose]: () => {},
  };
}
