/**
 * Our terminal, streams and signals lent to a process in a sandbox until it ends.
 *
 * Signals we get are the process's, not ours: one Ctrl-C asks it to end and leaves the decision to it. The second says that
 * the user has had enough of both. On a terminal of its own Ctrl-C is a key like any other and never becomes a signal here.
 */
import { EXIT_BY_SIGPIPE } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { exitCodeOf } from "../signals.ts";
import { OutputClosedError, OutputCursor } from "./output-cursor.ts";
import { ProcessSession } from "./process-session.ts";
import type { Opening, ProcessAddress } from "./process-stream.ts";
import { StdinWindow } from "./stdin-window.ts";
import { enterRawMode, isTerminal, terminalSize, watchSize } from "./terminal.ts";

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
    return (await Promise.race([session.run(), enough(run.signal)])).code;
  } catch (error) {
    if (error instanceof OutputClosedError) return EXIT_BY_SIGPIPE;
    if (run.interruptedBy) return exitCodeOf(run.interruptedBy);
    throw run.explain(error, { what: process.what });
  }
}

const firstOffset = (opening: Opening, key: "stdoutOffset" | "stderrOffset"): bigint =>
  opening.kind === "attach" ? (opening[key] ?? 0n) : 0n;

/** Also while a reader of our output keeps the session waiting. */
const enough = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));

function forwardSignals(run: CommandRun, session: ProcessSession): () => void {
  const before = run.onSignal;
  run.onSignal = (name) => session.sendSignal(name);
  return () => {
    run.onSignal = before;
  };
}

function forwardSize(run: CommandRun, session: ProcessSession): () => void {
  const size = terminalSize(run.around.stdout);
  if (size) session.sendResize(size);
  return watchSize(run.around.stdout, (changed) => session.sendResize(changed));
}
