import type { Readable } from "node:stream";

/**
 * The bytes of a stream that flows only while the next ones are awaited. Unread bytes stay in the stream: keys typed after the
 * process has ended belong to the shell. A stream that fails ends.
 */
export class PausedBytes implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #source: Readable;
  #ended: boolean;
  #give: ((piece: IteratorResult<Uint8Array, undefined>) => void) | undefined;

  constructor(source: Readable) {
    this.#source = source;
    this.#ended = source.readableEnded || source.destroyed;
    source.on("data", (data: Buffer | string) => {
      source.pause();
      this.#answer({ done: false, value: typeof data === "string" ? Buffer.from(data) : data });
    });
    source.pause();
    for (const end of ["end", "close", "error"]) source.once(end, () => this.#end());
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Call this only after the previous call has resolved. */
  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#give = resolve;
      this.#source.resume();
    });
  }

  #end(): void {
    this.#ended = true;
    this.#answer({ done: true, value: undefined });
  }

  #answer(piece: IteratorResult<Uint8Array, undefined>): void {
    this.#give?.(piece);
    this.#give = undefined;
  }
}
