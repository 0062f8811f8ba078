/**
 * Detects a peer that keeps the daemon busy with frames that carry nothing.
 *
 * Every frame takes time, even one that HTTP/2 ignores, and one event loop serves all sandboxes of the node. Back-pressure
 * bounds bodies: they arrive no faster than they are read. All other bytes (frame headers, SETTINGS, PING, WINDOW_UPDATE,
 * header blocks) are a small share of an honest peer's traffic, so once a second the surplus is compared with what the traffic
 * of that second explains.
 */
const INTERVAL_MS = 1000;
/** Surplus of an interval that needs no explanation, in bytes. */
const FREE_BYTES = 256 * 1024;
/** Header blocks and window updates of one call, in bytes. */
const BYTES_PER_CALL = 32 * 1024;
/** Framing for each byte of a body: small messages have a frame of their own. */
const BYTES_PER_BODY_BYTE = 2;

export class FloodWatch {
  readonly #timer: NodeJS.Timeout;
  #bodyBytes = 0;
  #openCalls = 0;
  #calls = 0;
  #readBefore: number;

  constructor(bytesRead: () => number, onFlood: (surplusBytes: number) => void) {
    this.#readBefore = bytesRead();
    this.#timer = setInterval(() => {
      const now = bytesRead();
      const surplus = now - this.#readBefore - this.#bodyBytes;
      const explained = FREE_BYTES + this.#calls * BYTES_PER_CALL + this.#bodyBytes * BYTES_PER_BODY_BYTE;
      this.#readBefore = now;
      this.#bodyBytes = 0;
      this.#calls = this.#openCalls;
      if (surplus > explained) onFlood(surplus);
    }, INTERVAL_MS).unref();
  }

  bodyBytes(count: number): void {
    this.#bodyBytes += count;
  }

  callBegan(): void {
    this.#openCalls += 1;
    this.#calls += 1;
  }

  callEnded(): void {
    this.#openCalls -= 1;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
