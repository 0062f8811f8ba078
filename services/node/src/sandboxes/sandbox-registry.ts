/**
 * All sandboxes of this node, including those with unreadable records, and their allocations.
 *
 * Every creation and every heartbeat calls this, so no call may cost more with more sandboxes: names, slots, uses of images and
 * allocations are updated by each change of a sandbox.
 */
import { type Amount, diskDemandBytes, PaddockError } from "@paddock/domain";
import { promisedSize } from "../record/entitled.ts";
import { refuseStale } from "../record/fence-generation.ts";
import { interfacesOnHost } from "../record/sandbox-interfaces.ts";
import { hostName } from "../record/sandbox-paths.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { volumesOf } from "../record/sandbox-volumes.ts";
import { vmOverheadBytesOf } from "../record/vm-overhead.ts";
import type { VmId } from "../vm/vm-paths.ts";
import type { AddressLeases, InterfaceLease, WantedLease } from "./address-leases.ts";
import type { LiveSandboxes } from "./live-sandbox.ts";
import type { SandboxEntry } from "./sandbox-entry.ts";
import { type Slot, SlotPool } from "./slot-pool.ts";
import { UseCount } from "./use-count.ts";
import { VolumeUsers } from "./volume-users.ts";

/** Memory that a VM's process needs beyond the guest's, in bytes; measured, see the README. */
export const VM_OVERHEAD_BYTES = 64 * 1024 * 1024;

type Known = { readonly entry: SandboxEntry; readonly holdings: Disposable };
/** The VM of an unreadable record. The slot is undefined when there is no VM. */
type CorruptVm = { readonly id: VmId; readonly slot: number | undefined };
type Corrupt = { readonly error: PaddockError; readonly vmId: VmId; readonly holdings: Disposable };
/** Reserved for a new sandbox: the slot of its VM, and a number for each of its interfaces. */
export type Claim = Slot & { readonly indexes: readonly number[] };

export type RegistryOptions = {
  readonly leases?: AddressLeases | undefined;
  readonly nameOf?: (sandboxId: string) => string;
};

export class SandboxRegistry implements LiveSandboxes {
  readonly #known = new Map<string, Known>();
  /** Ids of `#known`, sorted. */
  readonly #ids: string[] = [];
  readonly #corrupt = new Map<string, Corrupt>();
  /** Admitted sandboxes without an entry yet, by id. */
  readonly #claims = new Map<string, Disposable>();
  readonly #names = new UseCount<string>();
  readonly #slots = new SlotPool();
  readonly #images = new UseCount<string>();
  /** Which sandboxes use which volumes. */
  readonly volumes = new VolumeUsers();
  readonly #promised = { milliCpus: 0, memoryBytes: 0, diskBytes: 0 };
  readonly #guestOverheadBytes: number;
  readonly #leases: AddressLeases | undefined;
  readonly #nameOf: (sandboxId: string) => string;

  /**
   * `guestOverheadBytes` is the memory that a guest needs in addition to its containers. Without leases no sandbox has an
   * interface.
   */
  constructor(guestOverheadBytes: number, { leases, nameOf = hostName }: RegistryOptions = {}) {
    this.#guestOverheadBytes = guestOverheadBytes;
    this.#leases = leases;
    this.#nameOf = nameOf;
  }

  require(sandboxId: string): SandboxEntry {
    const known = this.#known.get(sandboxId);
    if (known !== undefined) return known.entry;
    const corrupt = this.#corrupt.get(sandboxId);
    if (corrupt !== undefined) throw corrupt.error;
    throw new PaddockError("SANDBOX_NOT_FOUND", `sandbox ${sandboxId} does not exist on this node`);
  }

  find(sandboxId: string): SandboxEntry | undefined {
    return this.#known.get(sandboxId)?.entry;
  }

  fence(sandboxId: string, generation: bigint): void {
    const entry = this.find(sandboxId);
    if (entry === undefined) return;
    refuseStale(entry.record, generation);
    if (generation > entry.record.generation) entry.update((record) => ({ ...record, generation }));
  }

  get size(): number {
    return this.#known.size;
  }

  /** Sandboxes whose id comes after this one, in order of id. */
  *after(sandboxId: string): Generator<SandboxEntry> {
    for (let at = this.#placeAfter(sandboxId); at < this.#ids.length; at++) {
      const entry = this.find(this.#ids[at] ?? "");
      if (entry !== undefined) yield entry;
    }
  }

  /** All sandboxes, in order of id. */
  list(): SandboxEntry[] {
    return [...this.after("")];
  }

  get corruptIds(): string[] {
    return [...this.#corrupt.keys()];
  }

  add(entry: SandboxEntry): void {
    const { sandboxId } = entry;
    const holdings = new DisposableStack();
    holdings.use(this.#names.add(this.#nameOf(sandboxId)));
    holdings.use(this.#slots.reserve(entry.record.vm.slot));
    holdings.use(this.#follow(entry));
    this.#known.set(sandboxId, { entry, holdings });
    this.#ids.splice(this.#placeAfter(sandboxId), 0, sandboxId);
    this.#claims.get(sandboxId)?.[Symbol.dispose]();
  }

  /** The VM may still run, so its slot stays taken. */
  addCorrupt(sandboxId: string, error: PaddockError, { id: vmId, slot }: CorruptVm): void {
    const holdings = new DisposableStack();
    holdings.use(this.#names.add(this.#nameOf(sandboxId)));
    if (slot !== undefined) holdings.use(this.#slots.reserve(slot));
    this.#corrupt.set(sandboxId, { error, vmId, holdings });
  }

  /** The VM of a sandbox with an unreadable record; undefined for any other. */
  corruptVm(sandboxId: string): VmId | undefined {
    return this.#corrupt.get(sandboxId)?.vmId;
  }

  remove(sandboxId: string): void {
    this.#known.get(sandboxId)?.holdings[Symbol.dispose]();
    this.#corrupt.get(sandboxId)?.holdings[Symbol.dispose]();
    if (this.#known.delete(sandboxId)) this.#ids.splice(this.#placeAfter(sandboxId) - 1, 1);
    this.#corrupt.delete(sandboxId);
  }

  /**
   * The host name of a free id. Throws SANDBOX_EXISTS when the id is taken, or its host name, which two ids share once in 2^64.
   */
  requireFree(sandboxId: string): string {
    const name = this.#nameOf(sandboxId);
    if (this.#names.has(name))
      throw new PaddockError("SANDBOX_EXISTS", `sandbox ${sandboxId} exists`, {
        hint: "choose another id, or leave it empty to get a new one",
      });
    return name;
  }

  /**
   * Reserves a free id, a slot and a number for each interface until an entry is added or the claim is disposed of. Throws
   * SANDBOX_EXISTS, and NetworkError `exhausted`.
   */
  claim(sandboxId: string, demand: Amount, interfaces = 0): Claim {
    const name = this.requireFree(sandboxId);
    using claimed = new DisposableStack();
    claimed.use(this.#names.add(name));
    const { slot } = claimed.use(this.#slots.take());
    const indexes = Array.from({ length: interfaces }, () => claimed.use(this.#requireLeases().take()).index);
    claimed.use(this.claimRoom(demand));
    claimed.defer(() => this.#claims.delete(sandboxId));
    const holdings = claimed.move();
    this.#claims.set(sandboxId, holdings);
    return { slot, indexes, [Symbol.dispose]: () => holdings.dispose() };
  }

  /** Reserves an address and a MAC address until disposed of. Throws ADDRESS_IN_USE, and NetworkError `exhausted`. */
  claimInterface(wanted: WantedLease): InterfaceLease {
    return this.#requireLeases().takeInterface(wanted);
  }

  /** Reserves room for a sandbox, for its growth, or for any other disk of the node, until disposed of. */
  claimRoom({ milliCpus, memoryBytes, diskBytes }: Amount): Disposable {
    this.#promised.milliCpus += milliCpus;
    this.#promised.memoryBytes += memoryBytes;
    this.#promised.diskBytes += diskBytes;
    const room = new DisposableStack();
    room.defer(() => {
      this.#promised.milliCpus -= milliCpus;
      this.#promised.memoryBytes -= memoryBytes;
      this.#promised.diskBytes -= diskBytes;
    });
    return room;
  }

  /** The allocation of all sandboxes. A stopped sandbox keeps its allocation, so that it can start again. */
  allocated(): Amount {
    return { ...this.#promised };
  }

  /** Keeps an image from being deleted while a container is created from it. */
  pinImage(imageId: string): Disposable {
    return this.#images.add(imageId);
  }

  /** Whether a container of any sandbox uses the image, or is about to. */
  usesImage(imageId: string): boolean {
    return this.#images.has(imageId);
  }

  #requireLeases(): AddressLeases {
    if (this.#leases === undefined) throw new Error("this node has no addresses for sandboxes");
    return this.#leases;
  }

  /** Index of the first id in `#ids` that comes after this one. */
  #placeAfter(sandboxId: string): number {
    let [from, to] = [0, this.#ids.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#ids[middle] ?? "") <= sandboxId) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Tracks the allocation, images, volumes and addresses of the sandbox as its record changes. */
  #follow(entry: SandboxEntry): Disposable {
    let counted = entry.record;
    let holdings = this.#holdingsOf(counted);
    const following = new DisposableStack();
    following.defer(() => holdings[Symbol.dispose]());
    following.use(
      entry.watch(() => {
        const { record } = entry;
        const isSame =
          record.containers === counted.containers &&
          record.size === counted.size &&
          record.network === counted.network &&
          record.volumes === counted.volumes &&
          record.operations === counted.operations;
        if (isSame) return;
        // The new ones first, so that kept ones are never free in between.
        const next = this.#holdingsOf(record);
        holdings[Symbol.dispose]();
        counted = record;
        holdings = next;
      }),
    );
    return following;
  }

  #holdingsOf(record: SandboxRecord): Disposable {
    const { vcpus, memoryBytes } = promisedSize(record, this.#guestOverheadBytes);
    const holdings = new DisposableStack();
    holdings.use(
      this.claimRoom({
        milliCpus: vcpus * 1000,
        memoryBytes: memoryBytes + vmOverheadBytesOf(VM_OVERHEAD_BYTES, record.spec),
        diskBytes: diskDemandBytes(record.containers.map(({ spec }) => spec)),
      }),
    );
    for (const { imageId } of record.containers) holdings.use(this.#images.add(imageId));
    holdings.use(this.volumes.add(record.sandboxId, volumesOf(record)));
    // A node whose network was turned off still has the records.
    for (const { index, mac } of interfacesOnHost(record)) {
      holdings.use(this.#leases?.reserve(index));
      holdings.use(this.#leases?.reserveMac(mac));
    }
    return holdings;
  }
}
