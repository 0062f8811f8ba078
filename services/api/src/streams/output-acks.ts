/**
 * Acknowledges output for a client that does not: bytes that the client's transport has accepted count as received.
 *
 * Acks are coalesced: one every 256 KiB, or after 20 ms without output, and never two in flight at the same time.
 */
import { OutputStream, type ProcessOutput } from "@paddock/protocol";

const ACK_EVERY_BYTES = 256 * 1024;
const IDLE_MS = 20;

/** Accepted bytes of each stream, counted from the start of the process. */
export type TakenOffsets = { readonly stdoutOffset: bigint; readonly stderrOffset: bigint };

export class OutputAcks implements Disposable {
  readonly #send: (taken: TakenOffsets) => Promise<void>;
  #stdoutOffset = 0n;
  #stderrOffset = 0n;
  #unackedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #sending = false;
  #disposed = false;

  /** `send` writes an ack to the process. It fails only if the call fails, which ends by itself. */
  constructor(send: (taken: TakenOffsets) => Promise<void>) {
    this.#send = send;
  }

  /** Records that the client's transport has accepted this output. */
  taken({ output }: ProcessOutput): void {
    switch (output.case) {
      case "chunk":
        this.#note(
          output.value.stream,
          output.value.offset + BigInt(output.value.data.length),
          output.value.data.length,
        );
        break;
      case "gap":
        this.#note(output.value.stream, output.value.toOffset, 1);
        break;
      default:
        return;
    }
    if (this.#unackedBytes >= ACK_EVERY_BYTES) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), IDLE_MS);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  #note(stream: OutputStream, offset: bigint, bytes: number): void {
    if (stream === OutputStream.STDOUT) this.#stdoutOffset = offset;
    else this.#stderrOffset = offset;
    this.#unackedBytes += bytes;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#sending || this.#disposed || this.#unackedBytes === 0) return;
    this.#sending = true;
    this.#unackedBytes = 0;
    this.#send({ stdoutOffset: this.#stdoutOffset, stderrOffset: this.#stderrOffset })
      .catch(() => {})
      .finally(() => {
        this.#sending = false;
        if (this.#unackedBytes > 0 && !this.#disposed)
          this.#timer ??= setTimeout(() => this.#flush(), IDLE_MS);
      });
  }
}
