/**
 * The position up to which an output of a process has been written.
 *
 * Chunks have the offset of their first byte. Bytes before the cursor were written already, by an earlier stream that broke, and
 * are dropped. The cursor moves only when the sink has accepted the bytes. So an output that is attached again at the cursor has
 * no gaps and no repeats.
 */

/**
 * Writes bytes of an output. Resolves when the bytes are accepted, which slows the process down until then. Rejects with
 * `OutputClosedError` if nobody reads the output any more.
 */
export type OutputSink = (data: Uint8Array) => Promise<void>;

/** The reader of an output has closed it, as `head` does in `paddock logs … | head`. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

export class OutputCursor {
  readonly #sink: OutputSink;
  #offset: bigint;
  #isDiscarding = false;

  /** `offset` is the first byte wanted, counted from the start of the process. */
  constructor(sink: OutputSink, offset = 0n) {
    this.#sink = sink;
    this.#offset = offset;
  }

  /** The first byte that is not written yet. */
  get offset(): bigint {
    return this.#offset;
  }

  /** Whether bytes are skipped instead of written. */
  get isDiscarding(): boolean {
    return this.#isDiscarding;
  }

  /** Writes the part of `data` that is new. Returns the number of bytes missing before the chunk. */
  async take(offset: bigint, data: Uint8Array): Promise<bigint> {
    const missing = offset > this.#offset ? offset - this.#offset : 0n;
    const written = missing > 0n ? 0 : Number(this.#offset - offset);
    if (written >= data.length) return 0n;
    if (!this.#isDiscarding) await this.#sink(data.subarray(written));
    this.#offset = offset + BigInt(data.length);
    return missing;
  }

  /** From now on skips bytes without writing them, because nobody reads them. */
  discard(): void {
    this.#isDiscarding = true;
  }

  /** Continues at `offset`. Returns the number of skipped bytes, 0 if `offset` is not ahead of the cursor. */
  skipTo(offset: bigint): bigint {
    if (offset <= this.#offset) return 0n;
    const skipped = offset - this.#offset;
    this.#offset = offset;
    return skipped;
  }
}
