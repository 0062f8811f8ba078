/** Tells any number of waiters that something changed. A waiter that has left is forgotten. */
export class Changes {
  readonly #waiters = new Set<() => void>();

  notify(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  /** Settles at the next change; rejects with the signal's reason. Look at the state before waiting, in the same turn. */
  next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#waiters.delete(resolve);
      reject(signal.reason);
    };
    this.#waiters.add(resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  }
}
