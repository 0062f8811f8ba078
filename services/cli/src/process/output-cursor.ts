/**
 * Where the output of a process has got to on our side.
 *
 * Chunks carry the offset of their first byte. What lies before the cursor was printed already, by an earlier stream that
 * broke, and is dropped; the cursor moves only when the bytes have been taken by the file they go to. So whatever is attached
 * again from the cursor is neither lost nor doubled.
 */
import type { Writable } from "node:stream";

/** The reader of our own output has gone, as in `paddock logs … | head`. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

export class OutputCursor {
  readonly #sink: Writable;
  #offset = 0n;
  #isDiscarding = false;

  constructor(sink: Writable, offset = 0n) {
    this.#sink = sink;
    this.#offset = offset;
  }

  /** First byte not printed yet. */
  get offset(): bigint {
    return this.#offset;
  }

  /** Prints what of `data` is new. A chunk beyond the cursor means bytes are missing: answers how many. */
  async take(offset: bigint, data: Uint8Array): Promise<bigint> {
    const missing = offset > this.#offset ? offset - this.#offset : 0n;
    const printed = missing > 0n ? 0 : Number(this.#offset - offset);
    if (printed >= data.length) return 0n;
    if (!this.#isDiscarding) await writeTo(this.#sink, data.subarray(printed));
    this.#offset = offset + BigInt(data.length);
    return missing;
  }

  /** From now on moves on without printing: nobody reads it. */
  discard(): void {
    this.#isDiscarding = true;
  }

  get isDiscarding(): boolean {
    return this.#isDiscarding;
  }

  /** Goes on at `offset`, which is not before the cursor. Answers the bytes passed over. */
  skipTo(offset: bigint): bigint {
    if (offset <= this.#offset) return 0n;
    const skipped = offset - this.#offset;
    this.#offset = offset;
    return skipped;
  }
}

/** Resolves when the bytes were handed to the operating system. */
export function writeTo(sink: Writable, data: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (sink.destroyed) return reject(new OutputClosedError("the output is closed"));
    sink.write(data, (error) => {
      if (error) reject(new OutputClosedError("the output is closed", { cause: error }));
      else resolve();
    });
  });
}
