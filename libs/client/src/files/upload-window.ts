/**
 * The part of an upload that the guest has not acknowledged.
 *
 * It is kept so that a broken stream can be continued where the guest stopped. At most `capacity` bytes are kept, which is also how
 * far a client may send beyond the last acknowledgement. Beyond that the source is not read.
 */
import type { Sha256 } from "./transfer.ts";

const PIECE_BYTES = 256 * 1024;
const DEFAULT_CAPACITY_BYTES = 1024 * 1024;

export type UploadPiece =
  | { readonly kind: "data"; readonly data: Uint8Array }
  | { readonly kind: "eof"; readonly totalBytes: bigint; readonly sha256: Uint8Array };

export class UploadWindow {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #sha256: Sha256;
  readonly #capacity: number;
  readonly #pieces: Uint8Array[] = [];
  /** What was read and does not fit in the window yet. */
  #rest: Uint8Array = new Uint8Array(0);
  #start = 0n;
  #acknowledged = 0n;
  #end = 0n;
  #isReading = false;
  #eof: Extract<UploadPiece, { kind: "eof" }> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #change = Promise.withResolvers<void>();

  /** `source` is read on demand, one `next` at a time. `capacity` is in bytes. */
  constructor(source: AsyncIterable<Uint8Array>, sha256: Sha256, capacity = DEFAULT_CAPACITY_BYTES) {
    this.#source = source[Symbol.asyncIterator]();
    this.#sha256 = sha256;
    this.#capacity = capacity;
  }

  /** Offset after the last byte that the guest has taken. */
  get acknowledged(): bigint {
    return this.#acknowledged;
  }

  /** The end of the source, once it is reached. */
  get eof(): Extract<UploadPiece, { kind: "eof" }> | undefined {
    return this.#eof;
  }

  /** How reading the source failed. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Whether the upload can continue at `offset`. */
  keeps(offset: bigint): boolean {
    return offset >= this.#start && offset <= this.#end;
  }

  /** Drops the bytes before `offset`. An offset that was never sent is ignored. */
  acknowledge(offset: bigint): void {
    if (offset <= this.#acknowledged || offset > this.#end) return;
    this.#acknowledged = offset;
    for (let piece = this.#pieces[0]; piece; piece = this.#pieces[0]) {
      if (this.#start + BigInt(piece.length) > offset) break;
      this.#pieces.shift();
      this.#start += BigInt(piece.length);
    }
    void this.#fill();
  }

  /** The bytes at `offset`, at most 256 KiB. Waits for them. Undefined if `signal` is aborted first. Throws the source's error. */
  async at(offset: bigint, signal: AbortSignal): Promise<UploadPiece | undefined> {
    const wake = () => this.#changed();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        void this.#fill();
        const data = this.#slice(offset);
        if (data) return { kind: "data", data };
        if (this.#failure) throw this.#failure.error;
        if (this.#eof) return this.#eof;
        await this.#change.promise;
      }
      return undefined;
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  /** Ends the source. Does not wait for it, because it may wait for input. */
  close(): void {
    void this.#source.return?.()?.catch(() => {});
  }

  #slice(offset: bigint): Uint8Array | undefined {
    let begin = this.#start;
    for (const piece of this.#pieces) {
      const inside = Number(offset - begin);
      if (inside >= 0 && inside < piece.length) return piece.subarray(inside);
      begin += BigInt(piece.length);
    }
    return undefined;
  }

  /** Reads the source until the window is full or the source ends. */
  async #fill(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#push() && !this.#eof && !this.#failure) await this.#read();
    } finally {
      this.#isReading = false;
    }
  }

  async #read(): Promise<void> {
    try {
      const next = await this.#source.next();
      if (next.done) this.#eof = { kind: "eof", totalBytes: this.#end, sha256: this.#sha256.digest() };
      else this.#rest = next.value;
    } catch (error) {
      this.#failure = { error };
    }
    this.#changed();
  }

  /** Moves what was read into the window. Returns whether there is room for more. */
  #push(): boolean {
    while (this.#rest.length > 0) {
      const room = this.#capacity - Number(this.#end - this.#start);
      if (room <= 0) return false;
      const piece = this.#rest.subarray(0, Math.min(room, PIECE_BYTES));
      this.#rest = this.#rest.subarray(piece.length);
      this.#sha256.update(piece);
      this.#pieces.push(piece);
      this.#end += BigInt(piece.length);
      this.#changed();
    }
    return Number(this.#end - this.#start) < this.#capacity;
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}
