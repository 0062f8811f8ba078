/**
 * Bytes of a stream in order, without holes, released at the front and read from any offset that is kept.
 *
 * A client or a guest chooses the sizes of its messages, so neither memory nor time may grow with their number: bytes are copied
 * into blocks, and each block is filled before the next one begins. Blocks grow with the amount kept, so that few bytes take
 * little memory.
 */
const MIN_BLOCK_BYTES = 4 * 1024;
const MAX_BLOCK_BYTES = 64 * 1024;

type Block = { readonly offset: number; readonly bytes: Uint8Array; used: number };

export class ByteQueue {
  /** Blocks in order; those before `#first` are empty and are removed together. */
  #blocks: Block[] = [];
  #first = 0;
  /** The block that was read last. Reading moves forward, so the next byte is in it or shortly after it. */
  #reading = 0;
  #end = 0;

  /** Offset after the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Number of blocks that are kept. */
  get blocks(): number {
    return this.#blocks.length - this.#first;
  }

  /** Adds bytes at the end. They are copied. */
  append(data: Uint8Array): void {
    for (let rest = data; rest.length > 0; ) {
      const block = this.#roomy();
      const part = rest.subarray(0, block.bytes.length - block.used);
      block.bytes.set(part, block.used);
      block.used += part.length;
      this.#end += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** Releases bytes before `offset`. An offset beyond the end moves the end there. */
  release(offset: number): void {
    for (let block = this.#blocks[this.#first]; block !== undefined; block = this.#blocks[this.#first]) {
      if (block.offset + block.used > offset) break;
      this.#first += 1;
    }
    this.#end = Math.max(this.#end, offset);
    if (this.#first * 2 <= this.#blocks.length && this.#first < this.#blocks.length) return;
    this.#blocks.splice(0, this.#first);
    this.#reading = Math.max(0, this.#reading - this.#first);
    this.#first = 0;
  }

  /** At most `maxBytes` from `offset` on, as a view of one block; empty at the end. */
  read(offset: number, maxBytes: number): Uint8Array {
    let at = Math.max(this.#reading, this.#first);
    // What is sent again after a lost connection is in an earlier block.
    if ((this.#blocks[at]?.offset ?? 0) > offset) at = this.#first;
    for (let block = this.#blocks[at]; block !== undefined; at += 1, block = this.#blocks[at]) {
      const from = offset - block.offset;
      if (from >= block.used) continue;
      this.#reading = at;
      return block.bytes.subarray(from, Math.min(block.used, from + maxBytes));
    }
    return new Uint8Array(0);
  }

  /** The last block if it has room, otherwise a new one. */
  #roomy(): Block {
    const last = this.#blocks.at(-1);
    if (this.blocks > 0 && last !== undefined && last.used < last.bytes.length) return last;
    const kept = this.#end - (this.#blocks[this.#first]?.offset ?? this.#end);
    const size = Math.min(Math.max(kept, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES);
    const block = { offset: this.#end, bytes: new Uint8Array(size), used: 0 };
    this.#blocks.push(block);
    return block;
  }
}
