/**
 * Which node has which sandbox.
 *
 * A sandbox id is claimed by a compare-and-set before any node is asked, which makes it unique in the fleet. Lookups on the path
 * of an exec are answered from a local copy that a watch keeps; what it does not hold is read from the bucket. The copy may be
 * behind: the node that is asked has the last word (SANDBOX_NOT_FOUND, STALE_GENERATION), and then `forget` makes the next lookup read.
 *
 * When the bucket was lost (its stream is another one than before) the copy is what is left of it: it goes on answering, and what the new
 * bucket lacks of it is claimed again, with the generation and the request it had, before the registry counts as filled. So the id of a
 * sandbox whose node is away is not given to another.
 */
import { setTimeout as pause } from "node:timers/promises";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { KvBucket, type Versioned } from "./kv-bucket.ts";
import type { WatchBegin, WatchedValue } from "./kv-watch.ts";
import { SANDBOXES_BUCKET } from "./subjects.ts";

/** A placement with the revision it was read at. */
export type PlacedSandbox = { readonly placement: nodepb.Placement; readonly revision: number };

export type Claim =
  | { readonly kind: "claimed"; readonly placed: PlacedSandbox }
  /** Someone has the id; `placed` says who. */
  | { readonly kind: "taken"; readonly placed: PlacedSandbox };

type Held = PlacedSandbox & {
  readonly epoch: number;
  /** When it was stored, by the monotonic clock. */
  readonly sinceMs: number;
  /** Whether it is of a bucket that was lost, and not yet in the one there is: its revision means nothing. */
  readonly isLost: boolean;
};

export type PlacementRegistryOptions = {
  /** A monotonic clock in milliseconds. */
  readonly nowMs?: () => number;
  /** Called when the bucket was lost and what it had was claimed again: how many. */
  readonly onRestored?: (count: number) => void;
  /** Called when a placement of a lost bucket cannot be claimed again; once for each cause, until all are restored. */
  readonly onRestoreFailed?: (err: unknown) => void;
};

/** Between two tries to restore a placement; doubles up to the most while they fail. */
const RESTORE_PAUSE_MS = 500;
const MOST_RESTORE_PAUSE_MS = 8000;

/** The placements of the fleet. All methods throw `PaddockError` BUS_UNAVAILABLE when NATS is away. */
export class PlacementRegistry implements AsyncDisposable {
  readonly #bucket: KvBucket;
  readonly #held = new Map<string, Held>();
  /** How many of `#held` each node has. */
  readonly #counts = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  readonly #options: PlacementRegistryOptions;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<() => void>();
  #epoch = 0;
  #incarnation = "";
  #isFilled = false;
  #highest = 0n;
  /** Why the last try to restore a placement failed. */
  #restoreFailure = "";

  constructor(bus: Bus, options: PlacementRegistryOptions = {}) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#bucket = new KvBucket(bus, SANDBOXES_BUCKET);
    const watcher = {
      onBegin: (begin: WatchBegin) => this.#begin(begin),
      onValue: (value: WatchedValue) => this.#apply(value),
      onFilled: () => void this.#fill(this.#epoch),
      onLost: () => this.#setFilled(false),
    };
    this.#watching = this.#bucket.watch(watcher, this.#stop.signal);
  }

  /** Whether everything that was in the registry when the watch began has been seen, and the watch goes on. */
  get isFilled(): boolean {
    return this.#isFilled;
  }

  /** Which registry it is: another word after the registry was lost and made again. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** The highest generation that was ever seen here. The next one is above it, whatever the clock says that makes it. */
  get highestGeneration(): bigint {
    return this.#highest;
  }

  /** Calls `listener` when `isFilled` changes; the result stops that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Claims `placement.sandboxId` for that placement unless the id is taken. */
  async claim(placement: nodepb.Placement): Promise<Claim> {
    const { sandboxId } = placement;
    for (;;) {
      const revision = await this.#bucket.create(sandboxId, toBinary(nodepb.PlacementSchema, placement));
      if (revision !== undefined) return { kind: "claimed", placed: this.#hold({ placement, revision }) };
      const placed = await this.read(sandboxId);
      // Released between the two: try again.
      if (placed !== undefined) return { kind: "taken", placed };
    }
  }

  /** Replaces a placement that is still at `revision`; undefined when it is not. */
  async move(placement: nodepb.Placement, revision: number): Promise<PlacedSandbox | undefined> {
    const value = toBinary(nodepb.PlacementSchema, placement);
    const next = await this.#bucket.update(placement.sandboxId, value, revision);
    return next === undefined ? undefined : this.#hold({ placement, revision: next });
  }

  /** Gives an id up that is still at `revision`; whether it was. */
  async release({ placement, revision }: PlacedSandbox): Promise<boolean> {
    const released = await this.#bucket.delete(placement.sandboxId, revision);
    if (released) this.forget(placement.sandboxId);
    return released;
  }

  /** The placement of a sandbox from the local copy, or from the registry when that has none. */
  async lookup(sandboxId: string): Promise<PlacedSandbox | undefined> {
    return this.#held.get(sandboxId) ?? (await this.read(sandboxId));
  }

  /** The placement of a sandbox from the registry itself. */
  async read(sandboxId: string): Promise<PlacedSandbox | undefined> {
    const stored = await this.#bucket.get(sandboxId);
    return stored && parse(stored);
  }

  /**
   * How long ago a placement was stored, in milliseconds: at least, for it counts from when this registry heard of that very
   * revision. Never by the clock of who claimed it. A placement that was not heard of yet is 0 old.
   */
  ageMs({ placement, revision }: PlacedSandbox): number {
    const held = this.#held.get(placement.sandboxId);
    if (held === undefined || held.revision !== revision) return 0;
    return Math.max(0, this.#nowMs() - held.sinceMs);
  }

  /** Makes the next lookup of a sandbox read the registry. */
  forget(sandboxId: string): void {
    this.#keep(sandboxId, undefined);
  }

  /** How many placements on a node the local copy has. Costs the same however many there are: every heartbeat asks. */
  countOn(nodeId: string): number {
    return this.#counts.get(nodeId) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #begin({ epoch, incarnation, isOtherStream }: WatchBegin): void {
    this.#epoch = epoch;
    this.#incarnation = incarnation;
    if (isOtherStream) for (const [id, held] of this.#held) this.#keep(id, { ...held, isLost: true });
    this.#setFilled(false);
  }

  #apply({ id, value, revision, ageMs }: WatchedValue): void {
    const held = this.#held.get(id);
    // What we wrote ourselves is held at once; the watch tells of it, and of what was before it, later.
    if (held !== undefined && !held.isLost && held.revision > revision) return;
    const placed = value && parse({ value, revision });
    if (placed === undefined) this.#keep(id, undefined);
    else this.#hold(placed, ageMs);
  }

  #hold(placed: PlacedSandbox, ageMs = 0): PlacedSandbox {
    const { sandboxId, generation } = placed.placement;
    const known = this.#held.get(sandboxId);
    const isSame = known !== undefined && !known.isLost && known.revision === placed.revision;
    const sinceMs = isSame ? known.sinceMs : this.#nowMs() - ageMs;
    this.#keep(sandboxId, { ...placed, epoch: this.#epoch, sinceMs, isLost: false });
    if (generation > this.#highest) this.#highest = generation;
    return placed;
  }

  /** Makes this what the local copy has of a sandbox, or undefined for nothing. */
  #keep(sandboxId: string, held: Held | undefined): void {
    const before = this.#held.get(sandboxId);
    if (before !== undefined) this.#count(before, -1);
    if (held === undefined) {
      this.#held.delete(sandboxId);
      return;
    }
    this.#held.set(sandboxId, held);
    this.#count(held, 1);
  }

  #count({ placement: { nodeId } }: Held, by: number): void {
    const count = this.countOn(nodeId) + by;
    if (count > 0) this.#counts.set(nodeId, count);
    else this.#counts.delete(nodeId);
  }

  /** After everything was told: what was not told is gone, unless the bucket was lost. */
  async #fill(epoch: number): Promise<void> {
    for (const [id, held] of this.#held) if (!held.isLost && held.epoch < epoch) this.#keep(id, undefined);
    const lost = [...this.#held.values()].filter(({ isLost }) => isLost);
    for (const { placement } of lost) if (!(await this.#restore(placement, epoch))) return;
    if (lost.length > 0) this.#options.onRestored?.(lost.length);
    this.#restoreFailure = "";
    if (this.#epoch === epoch && !this.#stop.signal.aborted) this.#setFilled(true);
  }

  /** Claims a placement of a lost bucket again; false when the watch has begun again meanwhile. */
  async #restore(placement: nodepb.Placement, epoch: number): Promise<boolean> {
    const { signal } = this.#stop;
    for (let pauseMs = RESTORE_PAUSE_MS; this.#epoch === epoch && !signal.aborted; ) {
      if (this.#held.get(placement.sandboxId)?.isLost !== true) return true;
      try {
        const { placed } = await this.claim(placement);
        this.#hold(placed);
        return true;
      } catch (err) {
        this.#tellRestoreFailure(err);
      }
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, MOST_RESTORE_PAUSE_MS);
    }
    return false;
  }

  #tellRestoreFailure(err: unknown): void {
    if (this.#restoreFailure === String(err)) return;
    this.#restoreFailure = String(err);
    this.#options.onRestoreFailed?.(err);
  }

  #setFilled(isFilled: boolean): void {
    if (this.#isFilled === isFilled) return;
    this.#isFilled = isFilled;
    for (const listener of this.#listeners) listener();
  }
}

function parse({ value, revision }: Versioned): PlacedSandbox | undefined {
  try {
    return { placement: fromBinary(nodepb.PlacementSchema, value), revision };
  } catch {
    return undefined;
  }
}
