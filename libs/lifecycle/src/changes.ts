import { addAbortListener } from "node:events";

/** Wakes any number of waiters at a change. A waiter that has left is dropped. */
export class Changes {
  readonly #waiters = new Set<() => void>();

  notify(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  /** Settles at the next change; rejects with the signal's reason. Check the state before waiting, in the same turn. */
  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.add(resolve);
    using _listener = addAbortListener(signal, () => {
      this.#waiters.delete(resolve);
      reject(signal.reason);
    });
    await promise;
  }
}
