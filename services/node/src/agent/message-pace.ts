/**
 * Prevents one guest from taking all of the daemon's time with many small messages.
 *
 * Back-pressure bounds memory, not time: a stream of one-byte messages, read as fast as it arrives, fills the event loop that
 * all sandboxes share. An honest agent gathers what a process writes (100 MB/s are 1600 messages a second). Messages beyond the
 * pace wait for the next interval, and back-pressure makes the guest wait.
 */
import { setTimeout as pause } from "node:timers/promises";

const INTERVAL_MS = 100;

export class MessagePace {
  readonly #perInterval: number;
  #intervalEndsMs = 0;
  #left = 0;
  #waiting: Promise<void> | undefined;

  constructor(messagesPerSecond: number) {
    this.#perInterval = Math.max(1, Math.round((messagesPerSecond * INTERVAL_MS) / 1000));
  }

  /** Resolves when the next message may be taken; usually undefined. */
  next(): Promise<void> | undefined {
    const now = performance.now();
    if (now >= this.#intervalEndsMs) {
      this.#intervalEndsMs = now + INTERVAL_MS;
      this.#left = this.#perInterval;
    }
    this.#left -= 1;
    if (this.#left >= 0) return undefined;
    this.#waiting ??= pause(this.#intervalEndsMs - now).then(() => {
      this.#waiting = undefined;
    });
    return this.#waiting;
  }
}
