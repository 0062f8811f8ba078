import { invalidArchive } from "./image-error.ts";

/** Reads exact amounts from a stream of chunks. Buffers at most one chunk plus the requested amount. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);
  #offset = 0;
  /** Bytes read or skipped so far. */
  position = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Up to `max` bytes, at least one; undefined at the end of the stream. */
  async take(max: number): Promise<Buffer | undefined> {
    while (this.#offset === this.#chunk.length) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      this.#chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      this.#offset = 0;
    }
    const end = Math.min(this.#offset + max, this.#chunk.length);
    const part = this.#chunk.subarray(this.#offset, end);
    this.#offset = end;
    this.position += part.length;
    return part;
  }

  /** Exactly `size` bytes; undefined at the end of the stream. Throws if the stream ends in between. */
  async read(size: number): Promise<Buffer | undefined> {
    const first = await this.take(size);
    if (first === undefined || first.length === size) return first;
    const parts = [first];
    for (let missing = size - first.length; missing > 0; ) {
      const part = await this.take(missing);
      if (part === undefined) throw invalidArchive("the tar archive ends in the middle of a header");
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts, size);
  }

  async skip(size: number): Promise<void> {
    for (let missing = size; missing > 0; ) {
      const part = await this.take(missing);
      if (part === undefined) throw invalidArchive("the tar archive ends in the middle of a file");
      missing -= part.length;
    }
  }

  /** Reads and discards the rest, so that digests over the whole stream are complete. */
  async drain(): Promise<void> {
    while ((await this.take(Number.MAX_SAFE_INTEGER)) !== undefined);
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
