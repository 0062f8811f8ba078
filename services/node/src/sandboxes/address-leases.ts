import { LeasePool, type NodeNetwork } from "@paddock/network";
import { UseCount } from "./use-count.ts";

/** The number of an interface on the node's network, taken until it is disposed of. */
export type Lease = { readonly index: number } & Disposable;

/** Numbers for interfaces. One that is taken twice is free when both have given it back. */
export class AddressLeases {
  readonly #pool: LeasePool;
  readonly #uses = new UseCount<number>();

  constructor(network: NodeNetwork) {
    this.#pool = new LeasePool(network);
  }

  /** Takes a number that nobody has. Throws NetworkError `exhausted`. */
  take(): Lease {
    return this.#hold(this.#pool.lease());
  }

  /** Takes this number. */
  reserve(index: number): Lease {
    if (!this.#uses.has(index)) this.#pool.leaseIndex(index);
    return this.#hold(index);
  }

  #hold(index: number): Lease {
    const held = new DisposableStack();
    held.defer(() => {
      if (!this.#uses.has(index)) this.#pool.release(index);
    });
    held.use(this.#uses.add(index));
    return { index, [Symbol.dispose]: () => held.dispose() };
  }
}
