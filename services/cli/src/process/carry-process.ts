/**
 * Our terminal, streams and signals lent to a process in a sandbox until it ends.
 *
 * Signals we get are the process's, not ours: one Ctrl-C asks it to end and leaves the decision to it. The second says that
 * the user has had enough of both. On a terminal of its own Ctrl-C is a key like any other and never becomes a signal here.
 */
import { isUtf8 } from "node:buffer";
import { Writable } from "node:stream";
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type ExitStatus, ExitStatusSchema } from "@paddock/protocol";
import { CliError, EXIT_BY_SIGPIPE, usageError } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { exitCodeOf } from "../signals.ts";
import { OutputClosedError, OutputCursor, writeTo } from "./output-cursor.ts";
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
  const { stdin } = run.around;
  if (run.isJson && process.terminal)
    throw usageError("-o json has no terminal to give", "leave out -t, or -o json");
  const { stdout, stderr } = outputsOf(run);
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
  });
  await using lent = new AsyncDisposableStack();
  lent.defer(() => void stdin.pause());
  lent.defer(forwardSignals(run, session));
  if (process.terminal && process.stdin && isTerminal(stdin)) lent.defer(enterRawMode(stdin));
  if (process.terminal) lent.defer(forwardSize(run, session));
  try {
    const status = await Promise.race([session.run(), enough(run.signal)]);
    if (run.isJson) await run.write(`${JSON.stringify({ exited: statusJson(status) })}\n`);
    if (status.reason !== "") throw notExecuted(status);
    return status.code;
  } catch (error) {
    if (error instanceof OutputClosedError) return EXIT_BY_SIGPIPE;
    if (run.interruptedBy) return exitCodeOf(run.interruptedBy);
    throw run.explain(error, { what: process.what });
  }
}

/** The command was not in the image, or is none. The process's own code, 126 or 127, says so to scripts, this to people. */
const notExecuted = ({ reason, code }: ExitStatus): CliError =>
  new CliError(`cannot execute ${printable(reason)}`, { exitCode: code });

const statusJson = (status: ExitStatus): JsonValue =>
  toJson(ExitStatusSchema, status, { alwaysEmitImplicit: true });

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

/** Ours, or with JSON a line on stdout for each piece: `{"stdout": TEXT}` where it is text, else `{"stdoutBase64": …}`. */
function outputsOf(run: CommandRun): { stdout: Writable; stderr: Writable } {
  const { stdout, stderr } = run.around;
  if (!run.isJson) return { stdout, stderr };
  const lines = (name: string) =>
    new Writable({
      highWaterMark: 1,
      write: (data: Buffer, _encoding, done) => {
        const piece = isUtf8(data)
          ? { [name]: data.toString() }
          : { [`${name}Base64`]: data.toString("base64") };
        writeTo(stdout, `${JSON.stringify(piece)}\n`).then(() => done(), done);
      },
    }).on("error", () => {});
  return { stdout: lines("stdout"), stderr: lines("stderr") };
}

function forwardSize(run: CommandRun, session: ProcessSession): () => void {
  const size = terminalSize(run.around.stdout);
  if (size) session.sendResize(size);
  return watchSize(run.around.stdout, (changed) => session.sendResize(changed));
}
