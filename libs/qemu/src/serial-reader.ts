/**
 * Keeps the end of the output of a guest's second serial port, in this process, so that it survives when QEMU is killed.
 *
 * QEMU writes byte by byte, so a flooding guest would wake the reader for each byte. Reads are paced instead: further output
 * waits in the socket, which has room for about 280 bytes, and then the guest's next byte waits. The guest's kernel stops
 * waiting after 10 ms and continues. Without a connected client, QEMU drops the output.
 */
import { createConnection, type Socket } from "node:net";

/** Token bucket of reads: its size, and the time to refill one token, in ms. At most 100 reads per second, 28 KB/s. */
const BURST_READS = 256;
const READ_MS = 10;

export class SerialReader {
  readonly #tail: Buffer;
  readonly #closed = Promise.withResolvers<void>();
  readonly #socket: Socket;
  #length = 0;
  #reads = BURST_READS;
  #countedAt = performance.now();
  #isPaced = true;
  #timer: NodeJS.Timeout | undefined;

  /** Connects once. Without a socket at `path` the tail stays empty. Keeps the last `bytes`. */
  constructor(path: string, bytes: number) {
    this.#tail = Buffer.alloc(bytes);
    this.#socket = createConnection({ path });
    this.#socket.unref();
    this.#socket.on("error", () => undefined);
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.once("close", () => {
      clearTimeout(this.#timer);
      this.#closed.resolve();
    });
  }

  /** The end of the output, oldest byte first. */
  get tail(): Buffer {
    return Buffer.from(this.#tail.subarray(0, this.#length));
  }

  /** After QEMU has ended: reads the rest of the socket, for at most `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isPaced = false;
    this.#socket.resume();
    const timer = setTimeout(() => this.close(), timeoutMs);
    await this.#closed.promise;
    clearTimeout(timer);
  }

  /** Closes the socket and keeps the tail. */
  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const kept = Math.min(this.#length, Math.max(0, this.#tail.length - chunk.length));
    this.#tail.copyWithin(0, this.#length - kept, this.#length);
    this.#length = kept + chunk.subarray(-this.#tail.length).copy(this.#tail, kept);
    if (this.#isPaced) this.#pace();
  }

  #pace(): void {
    const now = performance.now();
    this.#reads = Math.min(BURST_READS, this.#reads + (now - this.#countedAt) / READ_MS) - 1;
    this.#countedAt = now;
    if (this.#reads >= 1) return;
    this.#socket.pause();
    this.#timer = setTimeout(() => this.#socket.resume(), READ_MS);
    this.#timer.unref();
  }
}
