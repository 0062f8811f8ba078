/**
 * A fair read/write lock for each key.
 *
 * Grants go in the order of arrival: a writer that waits holds back the readers behind it, so neither starves. Waiting
 * ends by an AbortSignal (a deadline or a client that left), and then leaves no trace. Who holds a key, and who waits
 * for it, can be seen at any time, for diagnosis.
 *
 * A lock of one process: that no other daemon works on the same state is the business of a lock on the state directory.
 */
export type LockMode = "read" | "write";

export type LockOptions = {
  /** Name of the call, shown to whoever asks who holds the lock. */
  readonly name: string;
  readonly signal: AbortSignal;
};

export type LockView = {
  /** Names of those who hold it: one writer, or any number of readers. */
  readonly holders: readonly { readonly name: string; readonly since: Date }[];
  /** Names of those who wait, the first first. */
  readonly waiters: readonly string[];
};

type Holder = { readonly name: string; readonly mode: LockMode; readonly since: Date };
type Waiter = { readonly name: string; readonly mode: LockMode; readonly grant: () => void };
type Entry = { readonly holders: Set<Holder>; readonly waiters: Waiter[] };

const FREE: LockView = { holders: [], waiters: [] };

export class KeyedLock<Key> {
  readonly #entries = new Map<Key, Entry>();
  readonly #now: () => Date;

  /** `now` is the clock that dates the holders. */
  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  /**
   * Takes the lock; dispose of what it returns to let go. Rejects with the signal's reason when that fires first, also
   * when it had fired before.
   */
  async acquire(key: Key, mode: LockMode, { name, signal }: LockOptions): Promise<Disposable> {
    signal.throwIfAborted();
    const entry = this.#entries.get(key) ?? { holders: new Set(), waiters: [] };
    this.#entries.set(key, entry);
    if (entry.waiters.length === 0 && admits(entry, mode)) return this.#hold(key, entry, mode, name);
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    const waiter: Waiter = { name, mode, grant: () => resolve(this.#hold(key, entry, mode, name)) };
    entry.waiters.push(waiter);
    const leave = () => {
      const index = entry.waiters.indexOf(waiter);
      if (index < 0) return;
      entry.waiters.splice(index, 1);
      reject(signal.reason);
      this.#grantNext(key, entry);
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  /** Runs `work` with the lock held. */
  async with<T>(key: Key, mode: LockMode, options: LockOptions, work: () => Promise<T>): Promise<T> {
    using _held = await this.acquire(key, mode, options);
    return await work();
  }

  /** Who holds the lock and who waits for it. */
  view(key: Key): LockView {
    const entry = this.#entries.get(key);
    if (entry === undefined) return FREE;
    return {
      holders: [...entry.holders].map(({ name, since }) => ({ name, since })),
      waiters: entry.waiters.map(({ name }) => name),
    };
  }

  #hold(key: Key, entry: Entry, mode: LockMode, name: string): Disposable {
    const holder: Holder = { name, mode, since: this.#now() };
    entry.holders.add(holder);
    return {
      [Symbol.dispose]: () => {
        if (entry.holders.delete(holder)) this.#grantNext(key, entry);
      },
    };
  }

  #grantNext(key: Key, entry: Entry): void {
    for (
      let next = entry.waiters[0];
      next !== undefined && admits(entry, next.mode);
      next = entry.waiters[0]
    ) {
      entry.waiters.shift();
      next.grant();
    }
    if (entry.holders.size === 0 && entry.waiters.length === 0) this.#entries.delete(key);
  }
}

function admits({ holders }: Entry, mode: LockMode): boolean {
  if (holders.size === 0) return true;
  return mode === "read" && [...holders].every((holder) => holder.mode === "read");
}
