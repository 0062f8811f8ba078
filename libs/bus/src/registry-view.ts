/** A copy of a bucket that a watch maintains: the common part of the views of nodes and placements. */
import type { KvBucket } from "./kv-bucket.ts";
import type { WatchBegin, WatchedValue } from "./kv-watch.ts";

export abstract class RegistryView implements AsyncDisposable {
  readonly #stopped = new AbortController();
  readonly #watching: Promise<void>;
  readonly #listeners = new Set<() => void>();
  #epoch = 0;
  #incarnation = "";
  #isFilled = false;

  /** Starts to watch. Values are delivered after the constructor of the subclass has ended. */
  constructor(bucket: KvBucket) {
    const watcher = {
      onBegin: (begin: WatchBegin) => this.#begin(begin),
      onValue: (value: WatchedValue) => this.take(value),
      onFilled: () => void this.fill(),
      onLost: () => this.setFilled(false),
    };
    this.#watching = bucket.watch(watcher, this.#stopped.signal);
  }

  /** Whether everything that was stored when the watch began has been received, and the watch is active. */
  get isFilled(): boolean {
    return this.#isFilled;
  }

  /** Identifies the registry: changes after it was lost and recreated. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** Calls `listener` at each change that the view reports, and when `isFilled` changes. The returned function unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  /** Handles a stored value, or a change. */
  protected abstract take(value: WatchedValue): void;

  /** Called when everything that is stored has been received. Calls `setFilled`. */
  protected abstract fill(): void;

  /** Called when the registry was lost: the entries of this view may no longer be stored. */
  protected abstract lose(): void;

  /** The number of the current start of the watch. */
  protected get epoch(): number {
    return this.#epoch;
  }

  protected get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  protected setFilled(isFilled: boolean): void {
    if (this.#isFilled === isFilled) return;
    this.#isFilled = isFilled;
    this.notify();
  }

  protected notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #begin({ epoch, incarnation, isOtherStream }: WatchBegin): void {
    this.#epoch = epoch;
    this.#incarnation = incarnation;
    if (isOtherStream) this.lose();
    this.setFilled(false);
  }
}
