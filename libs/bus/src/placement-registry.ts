/**
 * Which node has which sandbox.
 *
 * A sandbox id is claimed by a compare-and-set before any node is asked, which makes it unique in the fleet. Lookups on the path
 * of an exec are answered from a local copy that a watch keeps; what it does not hold is read from the bucket. The copy may be
 * behind: the node that is asked has the last word (SANDBOX_NOT_FOUND, STALE_GENERATION), and then `forget` makes the next lookup read.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { KvBucket, type Versioned, type WatchEvent } from "./kv-bucket.ts";
import { SANDBOXES_BUCKET } from "./subjects.ts";

/** A placement with the revision it was read at. */
export type PlacedSandbox = { readonly placement: nodepb.Placement; readonly revision: number };

export type Claim =
  | { readonly kind: "claimed"; readonly placed: PlacedSandbox }
  /** Someone has the id; `placed` says who. */
  | { readonly kind: "taken"; readonly placed: PlacedSandbox };

type Held = PlacedSandbox & { readonly epoch: number };

/** The placements of the fleet. All methods throw `PaddockError` BUS_UNAVAILABLE when NATS is away. */
export class PlacementRegistry implements AsyncDisposable {
  readonly #bucket: KvBucket;
  readonly #held = new Map<string, Held>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  #epoch = 0;
  #sweptEpoch = 0;

  constructor(bus: Bus) {
    this.#bucket = new KvBucket(bus, SANDBOXES_BUCKET);
    this.#watching = this.#bucket.watch((event) => this.#apply(event), this.#stop.signal);
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

  /** Makes the next lookup of a sandbox read the registry. */
  forget(sandboxId: string): void {
    this.#held.delete(sandboxId);
  }

  /** The placements in the local copy, in no order. */
  known(): PlacedSandbox[] {
    return [...this.#held.values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #apply(event: WatchEvent): void {
    this.#epoch = event.epoch;
    const held = this.#held.get(event.id);
    // What we wrote ourselves is held at once; the watch tells of it, and of what was before it, later.
    const isNews = held === undefined || held.revision <= event.revision;
    const placed = event.value && parse({ value: event.value, revision: event.revision });
    if (isNews && placed === undefined) this.#held.delete(event.id);
    else if (isNews && placed !== undefined) this.#hold(placed);
    if (event.isComplete) this.#sweep(event.epoch);
  }

  #hold(placed: PlacedSandbox): PlacedSandbox {
    this.#held.set(placed.placement.sandboxId, { ...placed, epoch: this.#epoch });
    return placed;
  }

  /** After the watch began anew and told all there is, what it did not tell is gone. */
  #sweep(epoch: number): void {
    if (this.#sweptEpoch === epoch) return;
    this.#sweptEpoch = epoch;
    for (const [id, held] of this.#held) if (held.epoch < epoch) this.#held.delete(id);
  }
}

function parse({ value, revision }: Versioned): PlacedSandbox | undefined {
  try {
    return { placement: fromBinary(nodepb.PlacementSchema, value), revision };
  } catch {
    return undefined;
  }
}
