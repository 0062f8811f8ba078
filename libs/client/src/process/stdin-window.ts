/**
 * The part of stdin that the process has not acknowledged.
 *
 * It is kept so that a broken stream can be resumed where the process stopped reading. At most `capacity` bytes are kept, plus
 * one piece of the source. Beyond that the source is not read, which slows its writer down.
 */
const PIECE_BYTES = 64 * 1024;
const DEFAULT_CAPACITY_BYTES = 1024 * 1024;

export type StdinPiece =
  | { readonly kind: "data"; readonly offset: bigint; readonly data: Uint8Array }
  | { readonly kind: "eof" };

export class StdinWindow {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #capacity: number;
  #pieces: Uint8Array[] = [];
  #start = 0n;
  #size = 0;
  #isReading = false;
  #ended = false;
  #change = Promise.withResolvers<void>();

  /** `source` is read on demand, one `next` at a time; a source that fails ends stdin. `capacity` is in bytes. */
  constructor(source: AsyncIterable<Uint8Array>, capacity = DEFAULT_CAPACITY_BYTES) {
    this.#source = source[Symbol.asyncIterator]();
    this.#capacity = capacity;
  }

  /** Bytes kept. */
  get size(): number {
    return this.#size;
  }

  /** Drops the bytes before `offset`. */
  acknowledge(offset: bigint): void {
    for (let piece = this.#pieces[0]; piece; piece = this.#pieces[0]) {
      if (this.#start + BigInt(piece.length) > offset) break;
      this.#pieces.shift();
      this.#start += BigInt(piece.length);
      this.#size -= piece.length;
    }
    void this.#fill();
  }

  /** The bytes at `offset`. Waits for them. Undefined if `signal` is aborted first. */
  async at(offset: bigint, signal: AbortSignal): Promise<StdinPiece | undefined> {
    const wake = () => this.#changed();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        void this.#fill();
        const data = this.#slice(offset);
        if (data) return { kind: "data", offset, data };
        if (this.#ended) return { kind: "eof" };
        await this.#change.promise;
      }
      return undefined;
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  #slice(offset: bigint): Uint8Array | undefined {
    let begin = this.#start;
    for (const piece of this.#pieces) {
      const inside = Number(offset - begin);
      if (inside >= 0 && inside < piece.length) return piece.subarray(inside, inside + PIECE_BYTES);
      begin += BigInt(piece.length);
    }
    return undefined;
  }

  /** Reads the source until the window is full or stdin ends. */
  async #fill(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    while (!this.#ended && this.#size < this.#capacity) {
      const next = await this.#source.next().catch(() => undefined);
      if (next === undefined || next.done) this.#ended = true;
      else this.#push(next.value);
      this.#changed();
    }
    this.#isReading = false;
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  #push(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#pieces.push(data);
    this.#size += data.length;
  }
}
