/**
 * Keeps one guest from taking all of the daemon's time with messages that are small and many.
 *
 * Back-pressure bounds what is kept, not what it costs to look at: a stream of one-byte messages that is read as fast as it comes
 * fills the event loop that all sandboxes share. An honest agent gathers what a process writes (100 MB/s are 1600 messages
 * a second). What is beyond the pace waits for the next interval, and so, by back-pressure, does the guest.
 */
const INTERVAL_MS = 100;

export class MessagePace {
  readonly #perInterval: number;
  #intervalEndsMs = 0;
  #left = 0;
  #waiting: Promise<void> | undefined;

  constructor(messagesPerSecond: number) {
    this.#perInterval = Math.max(1, Math.round((messagesPerSecond * INTERVAL_MS) / 1000));
  }

  /** What to wait for before the next message is taken; undefined mostly. */
  next(): Promise<void> | undefined {
    const now = performance.now();
    if (now >= this.#intervalEndsMs) {
      this.#intervalEndsMs = now + INTERVAL_MS;
      this.#left = this.#perInterval;
    }
    this.#left -= 1;
    if (this.#left >= 0) return undefined;
    this.#waiting ??= new Promise((resolve) => {
      setTimeout(() => {
        this.#waiting = undefined;
        resolve();
      }, this.#intervalEndsMs - now);
    });
    return this.#waiting;
  }
}
