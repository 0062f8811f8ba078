/**
 * The input of a process, kept until the guest has it.
 *
 * One object serves a client's stream over any number of connections to the guest. Stdin is numbered; bytes are kept here until
 * the guest has accepted them, so that they can be sent again on another connection. Bytes beyond a window are not sent: so the
 * guest never stops reading this stream, and acknowledgements of output, which use the same stream, never wait behind stdin.
 * Everything else needs little room: only the last acknowledgement and the last size of the terminal count, each signal is
 * pending or not, as in the kernel, and each output is closed or not.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { Changes } from "@paddock/lifecycle";
import { agentpb } from "@paddock/protocol";
import { ByteQueue } from "./byte-queue.ts";
import type { ByteOffsets, OutputName } from "./process-output.ts";

type Input = NonNullable<MessageInitShape<typeof agentpb.ProcessInputSchema>["input"]>;
export type InputMessage = { readonly input: Input };

/** Bytes of stdin that may be in flight to the guest; its own queue takes as many. */
const WINDOW_BYTES = 1024 * 1024;
/** Bytes of stdin kept here before the client has to wait. */
const KEPT_BYTES = 2 * 1024 * 1024;

const STREAMS = { stdout: agentpb.Stream.STDOUT, stderr: agentpb.Stream.STDERR } as const;

export class ProcessInputs {
  /** Stdin that the guest has not accepted, in order, without holes. */
  readonly #kept = new ByteQueue();
  #accepted = 0;
  #sent = 0;
  /** Whether the guest has said at which offset stdin continues. */
  #flowing = false;
  #ended = false;
  #endSent = false;
  #ack: ByteOffsets | undefined;
  #resize: { readonly rows: number; readonly columns: number } | undefined;
  #lastSize: { readonly rows: number; readonly columns: number } | undefined;
  readonly #signals = new Set<number>();
  readonly #closed = new Set<OutputName>();
  readonly #closesToSend = new Set<OutputName>();
  readonly #changes = new Changes();

  /** Sets the offset that the process accepted before this stream. */
  begin(offset: number): void {
    this.#accepted = offset;
    this.#sent = offset;
    this.#kept.release(offset);
    this.#flowing = true;
    this.#changes.notify();
  }

  /** Called when the connection has ended: stdin waits for `resume`. */
  suspend(): void {
    this.#flowing = false;
  }

  /** Called when another connection begins: the guest has accepted `offset` bytes, and the rest is sent again. */
  resume(offset: number): void {
    this.stdinAccepted(offset);
    this.#sent = this.#accepted;
    this.#flowing = true;
    this.#endSent = false;
    this.#resize ??= this.#lastSize;
    for (const name of this.#closed) this.#closesToSend.add(name);
  }

  /** Adds stdin. Bytes that were added before are ignored. Throws STDIN_GAP, or INVALID_FIELD after the end. */
  stdin(offset: number | undefined, data: Uint8Array): void {
    const at = offset ?? this.#next;
    if (at > this.#next)
      throw new PaddockError("STDIN_GAP", `stdin continues at offset ${this.#next}, not ${at}`, {
        metadata: { expected_offset: String(this.#next) },
      });
    const fresh = data.subarray(this.#next - at);
    if (fresh.length === 0) return;
    if (this.#ended) throw new PaddockError("INVALID_FIELD", `stdin ended at offset ${this.#next}`);
    this.#kept.append(fresh);
    this.#changes.notify();
  }

  endStdin(): void {
    this.#ended = true;
    this.#changes.notify();
  }

  /** The guest has accepted stdin up to `offset`, which is beyond what was added here if another client writes, too. */
  stdinAccepted(offset: number): void {
    this.#accepted = Math.max(this.#accepted, offset);
    this.#sent = Math.max(this.#sent, this.#accepted);
    this.#kept.release(this.#accepted);
    this.#changes.notify();
  }

  ack(offsets: ByteOffsets): void {
    this.#ack = offsets;
    this.#changes.notify();
  }

  resize(size: { readonly rows: number; readonly columns: number }): void {
    this.#resize = { rows: size.rows, columns: size.columns };
    this.#lastSize = this.#resize;
    this.#changes.notify();
  }

  signal(number: number): void {
    this.#signals.add(number);
    this.#changes.notify();
  }

  closeOutput(name: OutputName): void {
    this.#closed.add(name);
    this.#closesToSend.add(name);
    this.#changes.notify();
  }

  /** Offset after the last byte of stdin that was added or accepted. */
  get #next(): number {
    return this.#kept.end;
  }

  /** Whether more stdin may be added. */
  get hasRoom(): boolean {
    return this.#next - this.#accepted < KEPT_BYTES;
  }

  /** Resolves when more stdin may be added; rejects with the signal's reason. */
  async room(signal: AbortSignal): Promise<void> {
    while (!this.hasRoom) await this.#changes.next(signal);
  }

  /** The messages for one connection, until the signal aborts. */
  async *messages(signal: AbortSignal): AsyncGenerator<InputMessage> {
    while (!signal.aborted) {
      const message = this.#take();
      if (message !== undefined) yield message;
      else await this.#changes.next(signal).catch(() => undefined);
    }
  }

  #take(): InputMessage | undefined {
    if (this.#ack !== undefined) {
      const { stdout, stderr } = this.#ack;
      this.#ack = undefined;
      return {
        input: { case: "ack", value: { stdoutOffset: BigInt(stdout), stderrOffset: BigInt(stderr) } },
      };
    }
    if (this.#resize !== undefined) {
      const value = this.#resize;
      this.#resize = undefined;
      return { input: { case: "resize", value } };
    }
    const [signal] = this.#signals;
    if (signal !== undefined) {
      this.#signals.delete(signal);
      return { input: { case: "signal", value: signal } };
    }
    const [name] = this.#closesToSend;
    if (name !== undefined) {
      this.#closesToSend.delete(name);
      return { input: { case: "outputClose", value: { stream: STREAMS[name] } } };
    }
    return this.#takeStdin();
  }

  #takeStdin(): InputMessage | undefined {
    if (!this.#flowing) return undefined;
    if (this.#sent < this.#next) {
      const window = this.#accepted + WINDOW_BYTES - this.#sent;
      if (window <= 0) return undefined;
      const data = this.#kept.read(this.#sent, window);
      const offset = BigInt(this.#sent);
      this.#sent += data.length;
      return { input: { case: "stdin", value: { offset, data } } };
    }
    if (!this.#ended || this.#endSent) return undefined;
    this.#endSent = true;
    return { input: { case: "stdinEof", value: { offset: BigInt(this.#next) } } };
  }
}
