/**
 * Connects a process in a sandbox with the user's terminal, streams and signals until it ends.
 *
 * The first SIGINT or SIGTERM goes to the process, which decides whether to end. The second also ends the command line. If the
 * process has its own terminal, Ctrl-C is an ordinary key and never becomes a signal here.
 */
import { isUtf8 } from "node:buffer";
import type { Writable } from "node:stream";
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type Opening,
  OutputClosedError,
  OutputCursor,
  type OutputSink,
  type ProcessAddress,
  ProcessSession,
  type SessionNotice,
  StdinWindow,
} from "@paddock/client";
import { type ExitStatus, ExitStatusSchema } from "@paddock/protocol";
import { CliError, EXIT_BY_SIGPIPE, usageError } from "../cli-error.ts";
import { CONNECTION_LOST, type CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { enterRawMode, isTerminal, terminalSize, watchSize } from "../output/terminal.ts";
import { writeTo } from "../output/write-to.ts";
import { exitCodeOf } from "../signals.ts";
import { PausedBytes } from "./paused-bytes.ts";

export type ForegroundProcess = {
  /** Completes "cannot …". */
  readonly what: string;
  readonly address: ProcessAddress;
  readonly opening: Opening;
  readonly stdin: boolean;
  readonly terminal: boolean;
};

/** Follows the process to its end. Returns the exit code for the command line. Throws `CliError`. */
export async function runInForeground(run: CommandRun, process: ForegroundProcess): Promise<number> {
  const { stdin } = run.around;
  if (run.isJson && process.terminal)
    throw usageError("-o json and a terminal exclude each other", "leave out -t, or -o json");
  const { stdout, stderr } = outputsOf(run);
  const session = new ProcessSession({
    client: run.api,
    address: process.address,
    opening: process.opening,
    stdout: new OutputCursor(stdout, firstOffset(process.opening, "stdoutOffset")),
    stderr: new OutputCursor(stderr, firstOffset(process.opening, "stderrOffset")),
    stdin: process.stdin ? new StdinWindow(new PausedBytes(stdin)) : undefined,
    timeoutMs: run.settings.timeoutMs,
    signal: run.signal,
    onNotice: (notice) => run.warn(noticeText(notice)),
  });
  await using lent = new AsyncDisposableStack();
  lent.defer(() => void stdin.pause());
  lent.defer(forwardSignals(run, session));
  if (process.terminal && process.stdin && isTerminal(stdin)) lent.defer(enterRawMode(stdin));
  if (process.terminal) lent.defer(forwardSize(run, session));
  try {
    const status = await session.run();
    if (run.isJson) await run.write(`${JSON.stringify({ exited: statusJson(status) })}\n`);
    if (status.reason !== "") throw notExecuted(status);
    return status.code;
  } catch (error) {
    if (error instanceof OutputClosedError) return EXIT_BY_SIGPIPE;
    if (run.interruptedBy) return exitCodeOf(run.interruptedBy);
    throw run.explain(error, { what: process.what });
  }
}

/** The command is missing in the image or cannot be executed. Scripts get the code, 126 or 127; users see this message. */
export const notExecuted = ({ reason, code }: ExitStatus): CliError =>
  new CliError(`cannot execute ${printable(reason)}`, { exitCode: code });

const statusJson = (status: ExitStatus): JsonValue =>
  toJson(ExitStatusSchema, status, { alwaysEmitImplicit: true });

const firstOffset = (opening: Opening, key: "stdoutOffset" | "stderrOffset"): bigint =>
  opening.kind === "attach" ? (opening[key] ?? 0n) : 0n;

export function noticeText(notice: SessionNotice): string {
  switch (notice.kind) {
    case "connection_lost":
      return CONNECTION_LOST;
    case "connected_again":
      return "connected again";
    case "output_lost":
      return `${notice.bytes} bytes of ${notice.output} are lost`;
    default:
      return notice satisfies never;
  }
}

function forwardSignals(run: CommandRun, session: ProcessSession): () => void {
  const before = run.onSignal;
  run.onSignal = (name) => session.sendSignal(name);
  return () => {
    run.onSignal = before;
  };
}

/**
 * This program's stdout and stderr, or with JSON one line on stdout per chunk: `{"stdout": TEXT}`, or `{"stdoutBase64": …}` for
 * bytes that are not text.
 */
function outputsOf(run: CommandRun): { stdout: OutputSink; stderr: OutputSink } {
  const { stdout, stderr } = run.around;
  const plain =
    (sink: Writable): OutputSink =>
    (data) =>
      writeTo(sink, data);
  if (!run.isJson) return { stdout: plain(stdout), stderr: plain(stderr) };
  const lines =
    (name: string): OutputSink =>
    (data) => {
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
      const piece = isUtf8(bytes)
        ? { [name]: bytes.toString() }
        : { [`${name}Base64`]: bytes.toString("base64") };
      return writeTo(stdout, `${JSON.stringify(piece)}\n`);
    };
  return { stdout: lines("stdout"), stderr: lines("stderr") };
}

function forwardSize(run: CommandRun, session: ProcessSession): () => void {
  const size = terminalSize(run.around.stdout);
  if (size) session.sendResize(size);
  return watchSize(run.around.stdout, (changed) => session.sendResize(changed));
}
