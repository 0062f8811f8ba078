import { addAbortListener } from "node:events";
import { withUnknownOutcome } from "@paddock/domain";

/** Work that several callers wait for. It ends early when all of them have left. */
export class SharedWork<T> {
  /** Settles with the work, even when no caller waits. */
  readonly outcome: Promise<T>;
  readonly #abandoned = new AbortController();
  #waiting = 0;

  /** Starts `work`. Its signal aborts when the last caller leaves, with that caller's reason. */
  constructor(work: (signal: AbortSignal) => Promise<T>) {
    const { signal } = this.#abandoned;
    this.outcome = Promise.resolve().then(() => {
      signal.throwIfAborted();
      return work(signal);
    });
    // Callers get the error. Without callers nobody handles it.
    this.outcome.catch(() => undefined);
  }

  /** Whether all callers have left, so that the work is being ended. */
  get isAbandoned(): boolean {
    return this.#abandoned.signal.aborted;
  }

  /**
   * The outcome. Throws what the work throws. A caller whose signal aborts leaves at once while others wait, with its reason and an
   * unknown outcome. The last caller ends the work and waits for its end, so that everything is undone when this settles.
   */
  async join(signal: AbortSignal): Promise<T> {
    const left = Promise.withResolvers<never>();
    const onAbort = () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#abandoned.abort(signal.reason);
      else left.reject(withUnknownOutcome(signal.reason));
    };
    signal.throwIfAborted();
    this.#waiting += 1;
    using _listener = addAbortListener(signal, onAbort);
    try {
      return await Promise.race([this.outcome, left.promise]);
    } finally {
      if (!signal.aborted) this.#waiting -= 1;
    }
  }
}
