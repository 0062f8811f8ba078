/**
 * The part of our stdin that the process has not acknowledged.
 *
 * It is kept so that a stream that broke can be taken up where the process stopped reading. At most `capacity` bytes are
 * held: then our own stdin is paused, which pauses whoever writes to it.
 */
import type { Readable } from "node:stream";

const PIECE_BYTES = 64 * 1024;

export type StdinPiece =
  | { readonly kind: "data"; readonly offset: bigint; readonly data: Uint8Array }
  | { readonly kind: "eof" };

export class StdinWindow {
  readonly #source: Readable;
  readonly #capacity: number;
  #pieces: Buffer[] = [];
  #start = 0n;
  #size = 0;
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(source: Readable, capacity = 1024 * 1024) {
    this.#source = source;
    this.#capacity = capacity;
    source.on("data", (data: Buffer | string) =>
      this.#push(typeof data === "string" ? Buffer.from(data) : data),
    );
    source.once("end", () => this.#end());
    source.once("close", () => this.#end());
    source.once("error", () => this.#end());
  }

  /** Bytes held. */
  get size(): number {
    return this.#size;
  }

  /** Lets go of what lies before `offset`. */
  acknowledge(offset: bigint): void {
    while (this.#pieces[0] && this.#start + BigInt(this.#pieces[0].length) <= offset) {
      const piece = this.#pieces.shift();
      this.#start += BigInt(piece?.length ?? 0);
      this.#size -= piece?.length ?? 0;
    }
    if (this.#size < this.#capacity && !this.#ended) this.#source.resume();
  }

  /** What comes at `offset`; waits for it. Undefined when `signal` is aborted first. */
  async at(offset: bigint, signal: AbortSignal): Promise<StdinPiece | undefined> {
    while (!signal.aborted) {
      const data = this.#slice(offset);
      if (data) return { kind: "data", offset, data };
      if (this.#ended) return { kind: "eof" };
      await Promise.race([this.#wake.promise, aborted(signal)]);
    }
    return undefined;
  }

  /** Stops reading our stdin. */
  release(): void {
    this.#source.pause();
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

  #push(data: Buffer): void {
    this.#pieces.push(data);
    this.#size += data.length;
    if (this.#size >= this.#capacity) this.#source.pause();
    this.#notify();
  }

  #end(): void {
    this.#ended = true;
    this.#notify();
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
