/** Collects the small pieces of an archive into pieces that are worth a message. */
const BATCH_BYTES = 256 * 1024;

export class ArchiveBatch {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  get isFull(): boolean {
    return this.#bytes >= BATCH_BYTES;
  }

  /** What was collected. The batch is empty then. */
  take(): Buffer {
    const all = Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    return all;
  }
}
