/** The indexes in use on a network. */
import { NetworkError } from "./network-error.ts";
import { indexesOf, type NodeNetwork } from "./node-network.ts";

/**
 * Gives each interface an index that no other one has. An index is used again as late as possible: packets that are still under
 * way to a former owner must not reach the next one.
 */
export class LeasePool {
  readonly #taken = new Set<number>();
  readonly #first: number;
  readonly #last: number;
  #next: number;

  constructor(network: NodeNetwork) {
    const { first, last } = indexesOf(network);
    this.#first = first;
    this.#last = last;
    this.#next = first;
  }

  get taken(): number {
    return this.#taken.size;
  }

  get size(): number {
    return this.#last - this.#first + 1;
  }

  /** Leases a free index. Throws `exhausted`. */
  lease(): number {
    if (this.#taken.size >= this.size)
      throw new NetworkError("exhausted", `all ${this.size} addresses of the pool are in use`);
    while (this.#taken.has(this.#next)) this.#advance();
    const index = this.#next;
    this.#taken.add(index);
    this.#advance();
    return index;
  }

  /** Leases that index. Throws `taken`. */
  leaseIndex(index: number): void {
    if (this.#taken.has(index))
      throw new NetworkError("taken", `the address with the index ${index} is in use`);
    this.#taken.add(index);
    if (index === this.#next) this.#advance();
  }

  /** Gives an index back. Safe to repeat. */
  release(index: number): void {
    this.#taken.delete(index);
  }

  #advance(): void {
    this.#next = this.#next === this.#last ? this.#first : this.#next + 1;
  }
}
