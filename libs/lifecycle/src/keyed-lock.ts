/**
 * A fair lock for each key.
 *
 * Locks are granted in order of arrival. An AbortSignal (a deadline, or a client that left) ends a wait and removes the waiter.
 * The holder and the waiters of a key can be listed at any time, for diagnosis.
 *
 * This is a lock within one process. A lock on the state directory keeps other daemons from the same state.
 */
import { addAbortListener } from "node:events";

export type LockOptions = {
  /** Name of the call, for diagnosis. */
  readonly name: string;
  readonly signal: AbortSignal;
};

export type LockView = {
  readonly holder: LockHolder | undefined;
  /** Names of the waiting calls, in order. */
  readonly waiters: readonly string[];
};

export type LockHolder = { readonly name: string; readonly since: Date };

type Waiter = { readonly name: string; readonly grant: () => void };
type Entry = { holder: LockHolder | undefined; readonly waiters: Waiter[] };

const FREE: LockView = { holder: undefined, waiters: [] };

export class KeyedLock<Key> {
  readonly #entries = new Map<Key, Entry>();
  readonly #now: () => Date;

  /** `now` is the clock for the time of each grant. */
  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  /**
   * Acquires the lock; dispose of the result to release it. Rejects with the signal's reason when it aborts first, or has
   * aborted already.
   */
  async acquire(key: Key, { name, signal }: LockOptions): Promise<Disposable> {
    signal.throwIfAborted();
    const entry = this.#entries.get(key) ?? { holder: undefined, waiters: [] };
    this.#entries.set(key, entry);
    if (entry.holder === undefined) return this.#hold(key, entry, name);
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    const waiter: Waiter = { name, grant: () => resolve(this.#hold(key, entry, name)) };
    entry.waiters.push(waiter);
    const leave = () => {
      const index = entry.waiters.indexOf(waiter);
      if (index < 0) return;
      entry.waiters.splice(index, 1);
      reject(signal.reason);
    };
    using _listener = addAbortListener(signal, leave);
    return await promise;
  }

  /** Runs `work` with the lock held. */
  async with<T>(key: Key, options: LockOptions, work: () => Promise<T>): Promise<T> {
    using _held = await this.acquire(key, options);
    return await work();
  }

  /** The holder of the lock, and the waiters. */
  view(key: Key): LockView {
    const entry = this.#entries.get(key);
    if (entry === undefined) return FREE;
    return { holder: entry.holder, waiters: entry.waiters.map(({ name }) => name) };
  }

  #hold(key: Key, entry: Entry, name: string): Disposable {
    const holder = { name, since: this.#now() };
    entry.holder = holder;
    return {
      [Symbol.dispose]: () => {
        if (entry.holder === holder) this.#grantNext(key, entry);
      },
    };
  }

  #grantNext(key: Key, entry: Entry): void {
    entry.holder = undefined;
    const next = entry.waiters.shift();
    if (next === undefined) this.#entries.delete(key);
    else next.grant();
  }
}
