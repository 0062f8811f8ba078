import { ofUnknownOutcome } from "@paddock/domain";

/** Work that several callers wait for: it goes on for as long as one of them does. */
export class SharedWork<T> {
  /** Settles as the work does, whoever waits. */
  readonly outcome: Promise<T>;
  readonly #abandoned = new AbortController();
  #waiting = 0;

  /** Begins `work`. Its signal aborts when the last caller leaves, with that caller's reason. */
  constructor(work: (signal: AbortSignal) => Promise<T>) {
    const { signal } = this.#abandoned;
    this.outcome = Promise.resolve().then(() => {
      signal.throwIfAborted();
      return work(signal);
    });
    // Those who wait are told; the work itself may be left by all.
    this.outcome.catch(() => undefined);
  }

  /** Whether everyone has left, so that the work is on its way to its end for nobody. */
  get isAbandoned(): boolean {
    return this.#abandoned.signal.aborted;
  }

  /**
   * The outcome. Throws what the work throws. A caller whose signal aborts leaves at once while others wait, with its reason and an
   * outcome that is unknown. The last one ends the work, and has what becomes of it: whatever is taken back has been when this settles.
   */
  async join(signal: AbortSignal): Promise<T> {
    const left = Promise.withResolvers<never>();
    const onAbort = () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#abandoned.abort(signal.reason);
      else left.reject(ofUnknownOutcome(signal.reason));
    };
    signal.throwIfAborted();
    this.#waiting += 1;
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([this.outcome, left.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (!signal.aborted) this.#waiting -= 1;
    }
  }
}
