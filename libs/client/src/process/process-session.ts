/**
 * Follows a process to its end, over any number of streams.
 *
 *   open ──started──> follow ──exited──> done
 *    ^                  │
 *    └──wait a moment───┘  the stream broke
 *
 * The session keeps the state that must survive a broken stream: how far each output was written, which stdin the process has not
 * acknowledged, and the id of the process. An Exec whose outcome is unknown is sent again under the same id: either it never
 * arrived and runs now, or it fails with ALREADY_EXISTS and is attached to. So a command never runs twice.
 *
 * When the reader of an output closes it (`paddock exec web yes | head -1`), an exec closes that output, as a pipe between two
 * programs does, and is followed to its end. The output of a container's init process stays open.
 */
import type { CallOptions } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import type { ExitStatus, OutputChunk, ProcessOutput, ProcessStarted } from "@paddock/protocol";
import { OutputStream } from "@paddock/protocol";
import type { ApiClient } from "../api-client.ts";
import { isRefused, isTransient } from "../call-failure.ts";
import { backoffMs, sleep } from "../retry.ts";
import { OutputClosedError, type OutputCursor } from "./output-cursor.ts";
import {
  type Opening,
  openProcessStream,
  type ProcessAddress,
  type ProcessInputInit,
  type ProcessStream,
} from "./process-stream.ts";
import type { StdinWindow } from "./stdin-window.ts";

/** Written bytes are acknowledged when there are this many, or after `ACK_MS`. */
const ACK_BYTES = 262_144n;
const ACK_MS = 5;
/** How long a session tries to resume a broken stream. */
const RESUME_MS = 30_000;
/** The same if the api reports that the VM itself is lost. */
const RESUME_LOST_VM_MS = 5_000;
const CLOSABLE = [OutputStream.STDOUT, OutputStream.STDERR] as const;
/** How long the api may take to close a stream after its process has ended. */
const CLOSE_MS = 1_000;

/** An event of a session that the user should see. */
export type SessionNotice =
  /** The stream broke and is about to be resumed. */
  | { readonly kind: "connection_lost" }
  | { readonly kind: "connected_again" }
  /** Bytes of an output that are no longer held anywhere. */
  | { readonly kind: "output_lost"; readonly output: "stdout" | "stderr"; readonly bytes: bigint };

export type ProcessSessionOptions = {
  readonly client: Pick<ApiClient, "processes">;
  readonly address: ProcessAddress;
  readonly opening: Opening;
  readonly stdout: OutputCursor;
  readonly stderr: OutputCursor;
  /** Stdin of the process; if absent, none is sent. */
  readonly stdin?: StdinWindow | undefined;
  /** How long one stream may last, in milliseconds; unlimited by default. */
  readonly timeoutMs?: number | undefined;
  /** Ends the session with the signal's reason. The process continues. */
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: (notice: SessionNotice) => void;
  /** Called when the process is known to have started, again after each break of the stream. Its PID is 0 when it has ended. */
  readonly onStarted?: (started: ProcessStarted) => void;
};

export class ProcessSession {
  readonly #options: ProcessSessionOptions;
  #opening: Opening;
  #stream: ProcessStream | undefined;
  #isStarted = false;
  #lostSinceMs: number | undefined;
  #attempt = 0;
  #acked = { stdout: 0n, stderr: 0n };
  #ackTimer: ReturnType<typeof setTimeout> | undefined;
  /** The last terminal size, and the signals to send once a stream is open. */
  #resize: ProcessInputInit | undefined;
  #signals: ProcessInputInit[] = [];

  constructor(options: ProcessSessionOptions) {
    this.#options = options;
    this.#opening = options.opening;
  }

  /**
   * Follows the process to its end. Throws `PaddockError` if that fails, and `OutputClosedError` if the reader of an attached
   * process has closed the output.
   */
  async run(): Promise<ExitStatus> {
    const { signal } = this.#options;
    if (!signal) return this.#followToEnd();
    // A sink that accepts no bytes must not keep an aborted session waiting.
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([this.#followToEnd(), aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #followToEnd(): Promise<ExitStatus> {
    for (;;) {
      try {
        return await this.#follow();
      } catch (error) {
        if (!(error instanceof PaddockError)) throw error;
        await this.#recover(error);
      }
    }
  }

  /** Sends a signal to the process, by name such as "SIGTERM". Queued while no stream is open. */
  sendSignal(name: string): void {
    this.#control({ case: "signal", value: name }, (input) => this.#signals.push(input));
  }

  /** Sets the size of the process's terminal, in characters. */
  sendResize(size: { rows: number; columns: number }): void {
    this.#resize = { case: "resize", value: size };
    this.#control(this.#resize, () => {});
  }

  #control(input: ProcessInputInit, keep: (input: ProcessInputInit) => void): void {
    if (this.#stream && this.#isStarted && this.#lostSinceMs === undefined) void this.#stream.send(input);
    else keep(input);
  }

  async #follow(): Promise<ExitStatus> {
    const { client, address } = this.#options;
    const stream = openProcessStream(client, address, this.#opening, this.#callOptions());
    this.#stream = stream;
    const closed = new AbortController();
    try {
      for (;;) {
        const next = await stream.outputs.next();
        if (next.done) throw new PaddockError("UNAVAILABLE", "the stream ended before the process");
        const exit = await this.#take(stream, next.value, closed.signal);
        if (exit) {
          await this.#finish(stream);
          return exit;
        }
      }
    } finally {
      closed.abort();
      clearTimeout(this.#ackTimer);
      this.#ackTimer = undefined;
      stream.cancel();
    }
  }

  #callOptions(): CallOptions {
    const { timeoutMs, signal } = this.#options;
    return { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) };
  }

  async #take(
    stream: ProcessStream,
    { output }: ProcessOutput,
    closed: AbortSignal,
  ): Promise<ExitStatus | undefined> {
    switch (output.case) {
      case "started":
        this.#onStarted(stream, output.value, closed);
        return undefined;
      case "chunk":
        await this.#onChunk(stream, output.value);
        return undefined;
      case "gap":
        this.#onGap(output.value.stream, this.#cursor(output.value.stream).skipTo(output.value.toOffset));
        return undefined;
      case "stdinAck":
        this.#options.stdin?.acknowledge(output.value.offset);
        return undefined;
      case "exited":
        return output.value;
      case "eof":
      case undefined:
        return undefined;
      default:
        return output satisfies never;
    }
  }

  #onStarted(stream: ProcessStream, started: ProcessStarted, closed: AbortSignal): void {
    if (this.#lostSinceMs !== undefined) this.#options.onNotice?.({ kind: "connected_again" });
    this.#isStarted = true;
    this.#lostSinceMs = undefined;
    this.#attempt = 0;
    this.#skipUnheld(started);
    const { stdin } = this.#options;
    if (stdin) void this.#pumpStdin(stream, stdin, started.stdinOffset, closed);
    if (this.#resize) void stream.send(this.#resize);
    for (const name of CLOSABLE) if (this.#cursor(name).isDiscarding) this.#closeOutput(stream, name);
    for (const input of this.#signals.splice(0)) void stream.send(input);
    this.#options.onStarted?.(started);
  }

  /** Without offsets in the request, the output begins where the process reports. */
  #skipUnheld(started: ProcessStarted): void {
    if (this.#opening.kind !== "attach") return;
    if (this.#opening.stdoutOffset === undefined) this.#options.stdout.skipTo(started.stdoutOffset);
    if (this.#opening.stderrOffset === undefined) this.#options.stderr.skipTo(started.stderrOffset);
  }

  async #onChunk(stream: ProcessStream, chunk: OutputChunk): Promise<void> {
    this.#onGap(chunk.stream, await this.#write(stream, chunk));
    const { stdout, stderr } = this.#options;
    const unacked = stdout.offset - this.#acked.stdout + stderr.offset - this.#acked.stderr;
    if (unacked >= ACK_BYTES) this.#acknowledge(stream);
    else if (unacked > 0n) this.#ackTimer ??= setTimeout(() => this.#acknowledge(stream), ACK_MS);
  }

  /** Returns the number of bytes missing before the chunk. */
  async #write(stream: ProcessStream, chunk: OutputChunk): Promise<bigint> {
    const cursor = this.#cursor(chunk.stream);
    try {
      return await cursor.take(chunk.offset, chunk.data);
    } catch (error) {
      if (!(error instanceof OutputClosedError) || this.#options.opening.kind !== "exec") throw error;
      cursor.discard();
      this.#closeOutput(stream, chunk.stream);
      return cursor.take(chunk.offset, chunk.data);
    }
  }

  #closeOutput(stream: ProcessStream, name: OutputStream): void {
    void stream.send({ case: "outputClose", value: { stream: name } });
  }

  #acknowledge(stream: ProcessStream): void {
    const { stdout, stderr } = this.#options;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#acked = { stdout: stdout.offset, stderr: stderr.offset };
    void stream.send({ case: "ack", value: { stdoutOffset: stdout.offset, stderrOffset: stderr.offset } });
  }

  #onGap(stream: OutputStream, lostBytes: bigint): void {
    if (lostBytes > 0n) {
      const output = stream === OutputStream.STDERR ? "stderr" : "stdout";
      this.#options.onNotice?.({ kind: "output_lost", output, bytes: lostBytes });
    }
  }

  #cursor(stream: OutputStream): OutputCursor {
    return stream === OutputStream.STDERR ? this.#options.stderr : this.#options.stdout;
  }

  async #pumpStdin(
    stream: ProcessStream,
    stdin: StdinWindow,
    from: bigint,
    closed: AbortSignal,
  ): Promise<void> {
    stdin.acknowledge(from);
    let offset = from;
    for (;;) {
      const piece = await stdin.at(offset, closed);
      if (!piece) return;
      if (piece.kind === "eof") return stream.send({ case: "stdinEof", value: {} });
      await stream.send({ case: "stdin", value: { offset, data: piece.data } });
      offset += BigInt(piece.data.length);
    }
  }

  async #finish(stream: ProcessStream): Promise<void> {
    this.#acknowledge(stream);
    stream.end();
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, CLOSE_MS);
    // A stream that fails after the exit status changes nothing.
    await Promise.race([drain(stream).catch(() => {}), timeout.promise]);
    clearTimeout(timer);
  }

  /** Decides how to continue after a broken stream. Throws if the session cannot. */
  async #recover(error: PaddockError): Promise<void> {
    const { signal, stdout, stderr } = this.#options;
    if (signal?.aborted) throw error;
    const resumed: Opening = { kind: "attach", stdoutOffset: stdout.offset, stderrOffset: stderr.offset };
    const isFirstTry = this.#attempt === 0 && !this.#isStarted;
    if (this.#opening.kind === "exec" && error.kind === "already_exists" && !isFirstTry) {
      this.#opening = resumed;
      return;
    }
    if (!isTransient(error) || (isFirstTry && isRefused(error))) throw error;
    const now = performance.now();
    this.#lostSinceMs ??= now;
    if (now - this.#lostSinceMs > patienceMs(error)) throw error;
    if (this.#isStarted) this.#opening = resumed;
    if (this.#attempt === 0) this.#options.onNotice?.({ kind: "connection_lost" });
    await sleep(Math.max(error.retryAfterMs ?? 0, backoffMs(this.#attempt)), signal);
    this.#attempt += 1;
  }
}

const patienceMs = (error: PaddockError): number =>
  error.reason === "VM_UNAVAILABLE" ? RESUME_LOST_VM_MS : RESUME_MS;

async function drain(stream: ProcessStream): Promise<void> {
  while (!(await stream.outputs.next()).done);
}
