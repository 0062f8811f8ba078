/**
 * The node of each sandbox.
 *
 * The id of a sandbox is claimed by a compare-and-set before any node is asked, so it is unique in the fleet. Lookups for an exec
 * use a local copy that a watch maintains; entries missing in the copy are read from the bucket. The copy may be stale. The node
 * that is asked decides (SANDBOX_NOT_FOUND, STALE_GENERATION), and then `forget` makes the next lookup read the bucket.
 *
 * When the bucket is lost (its stream is another one than before), only the copy remains. It continues to answer lookups, and
 * entries that the new bucket lacks are claimed again, with their generation and request, before the registry counts as filled.
 * So the id of a sandbox on a disconnected node is not given to another sandbox.
 */
import { setTimeout as pause } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { fromBinaryIfValid, nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { KvBucket, type Versioned } from "./kv-bucket.ts";
import type { WatchedValue } from "./kv-watch.ts";
import { RegistryView } from "./registry-view.ts";
import { SANDBOXES_BUCKET } from "./subjects.ts";

/** A placement with the revision it was read at. */
export type PlacedSandbox = { readonly placement: nodepb.Placement; readonly revision: number };

export type Claim =
  | { readonly kind: "claimed"; readonly placed: PlacedSandbox }
  /** The id is taken, by `placed`. */
  | { readonly kind: "taken"; readonly placed: PlacedSandbox };

/** A placement in the local copy. */
type Copied = PlacedSandbox & {
  readonly epoch: number;
  /** When it was stored, by the monotonic clock. */
  readonly sinceMs: number;
  /** Whether it belongs to a lost bucket and is not in the new one yet: its revision has no meaning. */
  readonly isLost: boolean;
};

export type PlacementRegistryOptions = {
  /** A monotonic clock in milliseconds. */
  readonly nowMs?: () => number;
  /** Called after the bucket was lost and its placements were claimed again, with their number. */
  readonly onRestored?: (count: number) => void;
  /** Called when a placement of a lost bucket cannot be claimed again; once per cause, until all are restored. */
  readonly onRestoreFailed?: (err: unknown) => void;
};

/** Pause between two attempts to restore a placement. Doubles up to the longest while they fail. */
const RESTORE_PAUSE_MS = 500;
const LONGEST_RESTORE_PAUSE_MS = 8000;

/** The placements of the fleet. All methods throw `PaddockError` BUS_UNAVAILABLE if NATS is unavailable. */
export class PlacementRegistry extends RegistryView {
  readonly #bucket: KvBucket;
  readonly #copy = new Map<string, Copied>();
  /** The number of placements in `#copy` on each node. */
  readonly #counts = new Map<string, number>();
  readonly #options: PlacementRegistryOptions;
  readonly #nowMs: () => number;
  #highest = 0n;
  /** Why the last attempt to restore a placement failed. */
  #restoreFailure = "";

  constructor(bus: Bus, options: PlacementRegistryOptions = {}) {
    const bucket = new KvBucket(bus, SANDBOXES_BUCKET);
    super(bucket);
    this.#bucket = bucket;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The highest generation seen here. The next one is above it, even if the clock is behind. */
  get highestGeneration(): bigint {
    return this.#highest;
  }

  /** Claims the id of a sandbox for a placement unless the id is taken. */
  async claim(placement: nodepb.Placement): Promise<Claim> {
    const { sandboxId } = placement;
    for (;;) {
      const revision = await this.#bucket.create(sandboxId, toBinary(nodepb.PlacementSchema, placement));
      if (revision !== undefined) return { kind: "claimed", placed: this.#keep({ placement, revision }) };
      const placed = await this.read(sandboxId);
      // It was released in between.
      if (placed !== undefined) return { kind: "taken", placed };
    }
  }

  /** Replaces a placement if its revision is still `revision`. Otherwise returns undefined. */
  async move(placement: nodepb.Placement, revision: number): Promise<PlacedSandbox | undefined> {
    const value = toBinary(nodepb.PlacementSchema, placement);
    const next = await this.#bucket.update(placement.sandboxId, value, revision);
    return next === undefined ? undefined : this.#keep({ placement, revision: next });
  }

  /** Releases an id if its placement has not changed. Returns whether it did. */
  async release({ placement, revision }: PlacedSandbox): Promise<boolean> {
    const released = await this.#bucket.delete(placement.sandboxId, revision);
    if (released) this.forget(placement.sandboxId);
    return released;
  }

  /** The placement of a sandbox from the local copy, or from the registry if the copy has none. */
  async lookup(sandboxId: string): Promise<PlacedSandbox | undefined> {
    return this.#copy.get(sandboxId) ?? (await this.read(sandboxId));
  }

  /** The placement of a sandbox from the registry itself. */
  async read(sandboxId: string): Promise<PlacedSandbox | undefined> {
    const stored = await this.#bucket.get(sandboxId);
    return stored && parse(stored);
  }

  /**
   * The minimum age of a placement, in milliseconds. It counts from when this registry received its revision, and is 0 before.
   * The clock of the api that claimed it is not used.
   */
  ageMs({ placement, revision }: PlacedSandbox): number {
    const copied = this.#copy.get(placement.sandboxId);
    if (copied === undefined || copied.revision !== revision) return 0;
    return Math.max(0, this.#nowMs() - copied.sinceMs);
  }

  /** Makes the next lookup of a sandbox read the registry. */
  forget(sandboxId: string): void {
    this.#set(sandboxId, undefined);
  }

  /** The number of placements on a node in the local copy. Counted in advance, because every heartbeat asks for it. */
  countOn(nodeId: string): number {
    return this.#counts.get(nodeId) ?? 0;
  }

  protected override take({ id, value, revision, ageMs }: WatchedValue): void {
    const copied = this.#copy.get(id);
    // The writes of this process are in the copy at once. The watch delivers them, and earlier ones, later.
    if (copied !== undefined && !copied.isLost && copied.revision > revision) return;
    const placed = value && parse({ value, revision });
    if (placed === undefined) this.forget(id);
    else this.#keep(placed, ageMs);
  }

  protected override lose(): void {
    for (const [id, copied] of this.#copy) this.#set(id, { ...copied, isLost: true });
  }

  #keep(placed: PlacedSandbox, ageMs = 0): PlacedSandbox {
    const { sandboxId, generation } = placed.placement;
    const known = this.#copy.get(sandboxId);
    const isSame = known !== undefined && !known.isLost && known.revision === placed.revision;
    const sinceMs = isSame ? known.sinceMs : this.#nowMs() - ageMs;
    this.#set(sandboxId, { ...placed, epoch: this.epoch, sinceMs, isLost: false });
    if (generation > this.#highest) this.#highest = generation;
    return placed;
  }

  /** Sets the entry of a sandbox in the local copy; undefined removes it. */
  #set(sandboxId: string, copied: Copied | undefined): void {
    const before = this.#copy.get(sandboxId);
    if (before !== undefined) this.#count(before, -1);
    if (copied === undefined) {
      this.#copy.delete(sandboxId);
      return;
    }
    this.#copy.set(sandboxId, copied);
    this.#count(copied, 1);
  }

  #count({ placement: { nodeId } }: Copied, by: number): void {
    const count = this.countOn(nodeId) + by;
    if (count > 0) this.#counts.set(nodeId, count);
    else this.#counts.delete(nodeId);
  }

  /** A placement that was not received has been released, unless the bucket was lost. */
  protected override async fill(): Promise<void> {
    const { epoch } = this;
    for (const [id, copied] of this.#copy) if (!copied.isLost && copied.epoch < epoch) this.forget(id);
    const lost = [...this.#copy.values()].filter(({ isLost }) => isLost);
    for (const { placement } of lost) if (!(await this.#restore(placement, epoch))) return;
    if (lost.length > 0) this.#options.onRestored?.(lost.length);
    this.#restoreFailure = "";
    if (this.epoch === epoch && !this.stopped.aborted) this.setFilled(true);
  }

  /** Claims a placement of a lost bucket again. Returns false if the watch has restarted in the meantime. */
  async #restore(placement: nodepb.Placement, epoch: number): Promise<boolean> {
    for (let pauseMs = RESTORE_PAUSE_MS; this.epoch === epoch && !this.stopped.aborted; ) {
      if (this.#copy.get(placement.sandboxId)?.isLost !== true) return true;
      try {
        const { placed } = await this.claim(placement);
        this.#keep(placed);
        return true;
      } catch (err) {
        this.#tellRestoreFailure(err);
      }
      await pause(pauseMs, undefined, { signal: this.stopped }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LONGEST_RESTORE_PAUSE_MS);
    }
    return false;
  }

  #tellRestoreFailure(err: unknown): void {
    if (this.#restoreFailure === String(err)) return;
    this.#restoreFailure = String(err);
    this.#options.onRestoreFailed?.(err);
  }
}

function parse({ value, revision }: Versioned): PlacedSandbox | undefined {
  const placement = fromBinaryIfValid(nodepb.PlacementSchema, value);
  return placement && { placement, revision };
}
