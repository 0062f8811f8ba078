/** All sandboxes of this node, those whose record cannot be read too, and what they were promised. */
import { type Amount, PaddockError } from "@paddock/domain";
import { promisedSize } from "../limits/entitled.ts";
import { refuseStale } from "./fence-generation.ts";
import type { LiveSandboxes } from "./live-sandbox.ts";
import type { SandboxEntry } from "./sandbox-entry.ts";
import { hostName } from "./sandbox-paths.ts";

/** Memory that a VM's process needs beside its guest's, in bytes; measured, see the README. */
export const VM_OVERHEAD_BYTES = 64 * 1024 * 1024;

export class SandboxRegistry implements LiveSandboxes {
  readonly #entries = new Map<string, SandboxEntry>();
  readonly #corrupt = new Map<string, { readonly error: PaddockError; readonly slot: number | undefined }>();
  readonly #pins = new Map<string, number>();
  readonly #growths = new Set<Amount>();
  readonly #guestOverheadBytes: number;
  /** Sandboxes that are admitted and have no entry yet, by id. */
  readonly #claims = new Map<string, { readonly slot: number; readonly demand: Amount }>();

  /** `guestOverheadBytes` is what a guest needs beside its containers. */
  constructor(guestOverheadBytes: number) {
    this.#guestOverheadBytes = guestOverheadBytes;
  }

  require(sandboxId: string): SandboxEntry {
    const entry = this.#entries.get(sandboxId);
    if (entry !== undefined) return entry;
    const corrupt = this.#corrupt.get(sandboxId);
    if (corrupt !== undefined) throw corrupt.error;
    throw new PaddockError("SANDBOX_NOT_FOUND", `sandbox ${sandboxId} does not exist on this node`);
  }

  find(sandboxId: string): SandboxEntry | undefined {
    return this.#entries.get(sandboxId);
  }

  fence(sandboxId: string, generation: bigint): void {
    const entry = this.#entries.get(sandboxId);
    if (entry === undefined) return;
    refuseStale(entry.record, generation);
    if (generation > entry.record.generation) entry.update((record) => ({ ...record, generation }));
  }

  /** By id. */
  list(): SandboxEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.sandboxId < b.sandboxId ? -1 : 1));
  }

  get corruptIds(): string[] {
    return [...this.#corrupt.keys()];
  }

  add(entry: SandboxEntry): void {
    this.#claims.delete(entry.sandboxId);
    this.#entries.set(entry.sandboxId, entry);
  }

  /** `slot` is what the sandbox's VM has, which may run on: nobody else gets it. Undefined when there is none. */
  addCorrupt(sandboxId: string, error: PaddockError, slot: number | undefined): void {
    this.#corrupt.set(sandboxId, { error, slot });
  }

  remove(sandboxId: string): void {
    this.#entries.delete(sandboxId);
    this.#corrupt.delete(sandboxId);
  }

  /** Throws SANDBOX_EXISTS when the id is taken, or its host name, which two ids share once in 2^64. */
  requireFree(sandboxId: string): void {
    const name = hostName(sandboxId);
    const ids = [...this.#entries.keys(), ...this.#corrupt.keys(), ...this.#claims.keys()];
    if (ids.some((id) => id === sandboxId || hostName(id) === name))
      throw new PaddockError("SANDBOX_EXISTS", `sandbox ${sandboxId} exists`, {
        hint: "choose another id, or leave it empty to have one made",
      });
  }

  /** Sets a free id and a slot aside until an entry is added or the claim is disposed of. Throws SANDBOX_EXISTS. */
  claim(sandboxId: string, demand: Amount): { readonly slot: number } & Disposable {
    this.requireFree(sandboxId);
    const claim = { slot: this.#freeSlot(), demand };
    this.#claims.set(sandboxId, claim);
    return {
      slot: claim.slot,
      [Symbol.dispose]: () => {
        if (this.#claims.get(sandboxId) === claim) this.#claims.delete(sandboxId);
      },
    };
  }

  /** Sets room for the growth of a sandbox aside until disposed of. */
  claimGrowth(demand: Amount): Disposable {
    const claim = { ...demand };
    this.#growths.add(claim);
    return { [Symbol.dispose]: () => void this.#growths.delete(claim) };
  }

  /** What all sandboxes were promised. A stopped one keeps its promise: it must be able to start again. */
  allocated(): Amount {
    let milliCpus = 0;
    let memoryBytes = 0;
    for (const { record } of this.#entries.values()) {
      const size = promisedSize(record, this.#guestOverheadBytes);
      milliCpus += size.vcpus * 1000;
      memoryBytes += size.memoryBytes + VM_OVERHEAD_BYTES;
    }
    for (const demand of [...[...this.#claims.values()].map((claim) => claim.demand), ...this.#growths]) {
      milliCpus += demand.milliCpus;
      memoryBytes += demand.memoryBytes;
    }
    return { milliCpus, memoryBytes, diskBytes: 0 };
  }

  /** Keeps an image from being deleted while a container is being made of it. */
  pinImage(imageId: string): Disposable {
    this.#pins.set(imageId, (this.#pins.get(imageId) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#pins.get(imageId) ?? 1) - 1;
        if (left > 0) this.#pins.set(imageId, left);
        else this.#pins.delete(imageId);
      },
    };
  }

  /** Whether a container of any sandbox is made of the image, or about to be. */
  usesImage(imageId: string): boolean {
    if (this.#pins.has(imageId)) return true;
    return [...this.#entries.values()].some(({ record }) =>
      record.containers.some((container) => container.imageId === imageId),
    );
  }

  #freeSlot(): number {
    const taken = new Set<number | undefined>([
      ...[...this.#entries.values()].map(({ record }) => record.slot),
      ...[...this.#claims.values()].map(({ slot }) => slot),
      ...[...this.#corrupt.values()].map(({ slot }) => slot),
    ]);
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }
}
