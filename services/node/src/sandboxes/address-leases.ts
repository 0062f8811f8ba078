import { PaddockError } from "@paddock/domain";
import { formatAddress, guestInterface, LeasePool, type Mac, type NodeNetwork } from "@paddock/network";
import { UseCount } from "./use-count.ts";

/** The number of an interface on the node's network, leased until it is disposed of. */
export type Lease = { readonly index: number } & Disposable;

/** The number and the MAC address of an interface, leased until they are disposed of. */
export type InterfaceLease = Lease & { readonly mac: Mac };

/** The wanted number and MAC address; undefined means any. */
export type WantedLease = { readonly index: number | undefined; readonly mac: Mac | undefined };

/** Numbers and MAC addresses of interfaces. One that is reserved twice is free when both leases are disposed of. */
export class AddressLeases {
  readonly #network: NodeNetwork;
  readonly #pool: LeasePool;
  readonly #uses = new UseCount<number>();
  readonly #macs = new UseCount<string>();

  constructor(network: NodeNetwork) {
    this.#network = network;
    this.#pool = new LeasePool(network);
  }

  /** Takes a free number. Throws NetworkError `exhausted`. */
  take(): Lease {
    return this.#hold(this.#pool.lease());
  }

  /** Takes this number, which may be in use. */
  reserve(index: number): Lease {
    if (!this.#uses.has(index)) this.#pool.leaseIndex(index);
    return this.#hold(index);
  }

  /** Takes this MAC address, which may be in use. */
  reserveMac(mac: string): Disposable {
    return this.#macs.add(mac);
  }

  /** Takes a free number and a free MAC address. Throws ADDRESS_IN_USE, and NetworkError `exhausted`. */
  takeInterface({ index, mac }: WantedLease): InterfaceLease {
    using taken = new DisposableStack();
    if (index !== undefined && this.#uses.has(index)) {
      const { v4 } = guestInterface(this.#network, index);
      throw inUse(`the address ${formatAddress(v4)}`);
    }
    const lease = taken.use(index === undefined ? this.take() : this.reserve(index));
    const own = mac ?? guestInterface(this.#network, lease.index).mac;
    if (this.#macs.has(own)) throw inUse(`the MAC address ${own}`);
    taken.use(this.reserveMac(own));
    const held = taken.move();
    return { index: lease.index, mac: own, [Symbol.dispose]: () => held.dispose() };
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

const inUse = (what: string): PaddockError =>
  new PaddockError("ADDRESS_IN_USE", `${what} belongs to an interface of this node`);
