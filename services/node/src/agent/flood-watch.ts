/**
 * Detects a peer that keeps the daemon busy with frames that carry nothing.
 *
 * Every frame takes time, even one that HTTP/2 ignores, and one event loop serves all sandboxes of the node. Back-pressure
 * bounds bodies: they arrive no faster than they are read. All other bytes (frame headers, SETTINGS, PING, WINDOW_UPDATE,
 * header blocks) are a small share of an honest peer's traffic, so once a second the surplus is compared with what the traffic
 * of that second explains. Bytes of a body count when they have arrived: those of a reader that has stopped wait in its stream.
 */
const INTERVAL_MS = 1000;
/** Surplus of an interval that needs no explanation, in bytes. */
const FREE_BYTES = 256 * 1024;
/** Header blocks and window updates of one call, in bytes. */
const BYTES_PER_CALL = 32 * 1024;
/** Framing for each byte of a body: small messages have a frame of their own. */
const BYTES_PER_BODY_BYTE = 2;

/** Where the body of a call arrives. */
export type Body = {
  /** Bytes that have arrived and are not read. */
  readonly readableLength: number;
};

export class FloodWatch {
  readonly #timer: NodeJS.Timeout;
  /** The calls in progress, with the unread bytes that are counted. */
  readonly #unread = new Map<Body, number>();
  #bodyBytes = 0;
  #calls = 0;
  #readBefore: number;

  constructor(bytesRead: () => number, onFlood: (surplusBytes: number) => void) {
    this.#readBefore = bytesRead();
    this.#timer = setInterval(() => {
      for (const body of this.#unread.keys()) this.#countUnread(body);
      const now = bytesRead();
      const surplus = now - this.#readBefore - this.#bodyBytes;
      const explained = FREE_BYTES + this.#calls * BYTES_PER_CALL + this.#bodyBytes * BYTES_PER_BODY_BYTE;
      this.#readBefore = now;
      this.#bodyBytes = 0;
      this.#calls = this.#unread.size;
      if (surplus > explained) onFlood(surplus);
    }, INTERVAL_MS).unref();
  }

  callBegan(body: Body): void {
    this.#unread.set(body, 0);
    this.#calls += 1;
  }

  /** Bytes of a body were read. */
  bodyBytes(count: number): void {
    this.#bodyBytes += count;
  }

  callEnded(body: Body): void {
    this.#countUnread(body);
    this.#unread.delete(body);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #countUnread(body: Body): void {
    this.#bodyBytes += body.readableLength - (this.#unread.get(body) ?? 0);
    this.#unread.set(body, body.readableLength);
  }
}
