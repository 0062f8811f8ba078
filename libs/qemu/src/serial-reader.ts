/**
 * Keeps the last of what a guest says on its second serial port, in this process: it is there when QEMU has been killed.
 *
 * QEMU writes byte by byte, so a flooding guest would wake the reader for each. Reads are paced instead: what comes faster waits
 * in the socket, some 280 bytes, and the guest's next byte waits for that; its kernel gives up waiting after 10 ms and goes on.
 * Nobody connected: QEMU drops what the guest says.
 */
import { createConnection, type Socket } from "node:net";

/** Reads that may come at once, and how long one takes to be earned again, in ms: 100 a second at most, 28 KB/s. */
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

  /** Connects at once, or never: a QEMU without such a socket leaves the tail empty. Keeps the last `bytes`. */
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

  /** The last of what was read, oldest first. */
  get tail(): Buffer {
    return Buffer.from(this.#tail.subarray(0, this.#length));
  }

  /** Of a QEMU that is gone: reads what it left in the socket, for at most `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isPaced = false;
    this.#socket.resume();
    const timer = setTimeout(() => this.close(), timeoutMs);
    await this.#closed.promise;
    clearTimeout(timer);
  }

  /** Lets go of the socket; what was read stays. */
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
