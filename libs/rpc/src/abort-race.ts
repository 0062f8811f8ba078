/**
 * Waits that end with a signal.
 *
 * `Promise.race([work, aborted])` with a long-lived `aborted` promise keeps every `work` reachable until the signal fires: a leak
 * on a stream of a million messages. This class keeps only pending work.
 */
export class AbortRace {
  readonly #signal: AbortSignal;
  readonly #pending = new Set<(reason: unknown) => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#rejectAll(), { once: true });
  }

  /** Settles as `work` does, or rejects with the signal's reason as soon as the signal aborts. */
  run<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#signal.aborted) {
        work.catch(() => {});
        reject(this.#signal.reason);
        return;
      }
      this.#pending.add(reject);
      work.then(
        (value) => {
          this.#pending.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#pending.delete(reject);
          reject(error);
        },
      );
    });
  }

  #rejectAll(): void {
    for (const reject of this.#pending) reject(this.#signal.reason);
    this.#pending.clear();
  }
}
