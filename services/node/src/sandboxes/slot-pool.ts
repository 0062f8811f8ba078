import { UseCount } from "./use-count.ts";

/** A number that is taken until it is disposed of. */
export type Slot = { readonly slot: number } & Disposable;

/** Small numbers for VMs, each used once. Taking one costs the same however many are taken. */
export class SlotPool {
  readonly #taken = new UseCount<number>();
  /** Numbers below `#next` that were given back. A number that was reserved afterwards is still among them. */
  readonly #free: number[] = [];
  #next = 0;

  /** Takes a free number. */
  take(): Slot {
    for (let slot = this.#free.pop(); slot !== undefined; slot = this.#free.pop())
      if (!this.#taken.has(slot)) return this.reserve(slot);
    // Passes each number once in the lifetime of the pool.
    while (this.#taken.has(this.#next)) this.#next++;
    return this.reserve(this.#next++);
  }

  /** Takes this number, which may be in use. It is free when all its slots are disposed of. */
  reserve(slot: number): Slot {
    const taken = new DisposableStack();
    taken.defer(() => {
      if (slot < this.#next && !this.#taken.has(slot)) this.#free.push(slot);
    });
    taken.use(this.#taken.add(slot));
    return { slot, [Symbol.dispose]: () => taken.dispose() };
  }
}
