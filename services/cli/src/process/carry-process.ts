/**
 * Our terminal, streams and signals lent to a process in a sandbox until it ends.
 *
 * Signals we get are the process's, not ours: one Ctrl-C asks it to end and leaves the decision to it. Three say that the
 * user has had enough of both. On a terminal of its own Ctrl-C is a key like any other and never becomes a signal here.
 */
import { constants } from "node:os";
import { EXIT_BY_SIGPIPE } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { OutputClosedError, OutputCursor } from "./output-cursor.ts";
import { ProcessSession } from "./process-session.ts";
import type { Opening, ProcessAddress } from "./process-stream.ts";
import { StdinWindow } from "./stdin-window.ts";
import { enterRawMode, isTerminal, terminalSize, watchSize } from "./terminal.ts";

const ENOUGH = 3;

export type CarriedProcess = {
  /** Completes "cannot …". */
  readonly what: string;
  readonly address: ProcessAddress;
  readonly opening: Opening;
  readonly stdin: boolean;
  readonly terminal: boolean;
};

/** Follows the process to its end and answers what we shall exit with. Throws `CliError`. */
export async function carryProcess(run: CommandRun, process: CarriedProcess): Promise<number> {
  const { stdin, stdout, stderr } = run.around;
  const session = new ProcessSession({
    api: run.api,
    address: process.address,
    opening: process.opening,
    stdout: new OutputCursor(stdout, firstOffset(process.opening, "stdoutOffset")),
    stderr: new OutputCursor(stderr, firstOffset(process.opening, "stderrOffset")),
    stdin: process.stdin ? new StdinWindow(stdin) : undefined,
    callOptions: () => run.callOptions({ isOpenEnded: true }),
    signal: run.signal,
    onNote: (note) => run.warn(note),
    onReason: (reason) =>
      void run.around.stderr.write(`${run.colors.red("error:")} cannot execute ${printable(reason)}\n`),
  });
  await using lent = new AsyncDisposableStack();
  lent.defer(() => void stdin.pause());
  lent.defer(forwardSignals(run, session));
  if (process.terminal && process.stdin && isTerminal(stdin)) lent.defer(enterRawMode(stdin));
  if (process.terminal) lent.defer(forwardSize(run, session));
  try {
    return (await session.run()).code;
  } catch (error) {
    if (error instanceof OutputClosedError) return EXIT_BY_SIGPIPE;
    if (run.interruptedBy) return 128 + constants.signals[run.interruptedBy];
    throw run.explain(error, { what: process.what });
  }
}

const firstOffset = (opening: Opening, key: "stdoutOffset" | "stderrOffset"): bigint =>
  opening.kind === "attach" ? (opening[key] ?? 0n) : 0n;

function forwardSignals(run: CommandRun, session: ProcessSession): () => void {
  const before = run.onSignal;
  let interrupts = 0;
  run.onSignal = (name) => {
    if (name === "SIGINT") interrupts += 1;
    if (name === "SIGINT" && interrupts >= ENOUGH) run.interrupt(name);
    else session.sendSignal(name);
  };
  return () => {
    run.onSignal = before;
  };
}

function forwardSize(run: CommandRun, session: ProcessSession): () => void {
  const size = terminalSize(run.around.stdout);
  if (size) session.sendResize(size);
  return watchSize(run.around.stdout, (changed) => session.sendResize(changed));
}
