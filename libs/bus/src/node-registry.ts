/**
 * Which nodes there are, and how they are.
 *
 * A node puts a heartbeat into the bucket every 5 s. Readers watch, and judge by their own monotonic clock how long ago they saw
 * the last one: never by comparing two hosts' clocks, and never by an expiry of the bucket, which makes no event. What was there
 * when the watch began is as old as the server says, by its own clock alone, so that a node which died yesterday does not come back to
 * life for 15 s with each start of an api.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { KvBucket } from "./kv-bucket.ts";
import type { WatchBegin, WatchedValue } from "./kv-watch.ts";
import { NODES_BUCKET } from "./subjects.ts";

/** Time between two heartbeats, in milliseconds. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
/** Age of the last heartbeat, in milliseconds, from which a node is suspect, and down. */
export const SUSPECT_AFTER_MS = 15_000;
export const DOWN_AFTER_MS = 30_000;

export type Liveness = "up" | "suspect" | "down";

/** What is known of a node. */
export type NodeRecord = {
  readonly nodeId: string;
  readonly heartbeat: nodepb.Heartbeat;
  readonly liveness: Liveness;
  /** Age of the heartbeat in milliseconds. */
  readonly ageMs: number;
};

/** Puts a node's heartbeat. Throws `PaddockError` BUS_UNAVAILABLE; the next one will do. */
export async function putHeartbeat(bus: Bus, heartbeat: nodepb.Heartbeat): Promise<void> {
  const nodeId = heartbeat.node?.nodeId;
  if (!nodeId) throw new Error("a heartbeat without a node id");
  await bucketOf(bus).put(nodeId, toBinary(nodepb.HeartbeatSchema, heartbeat));
}

type Seen = {
  readonly heartbeat: nodepb.Heartbeat;
  readonly seenAtMs: number;
  readonly epoch: number;
};

/** A live view of the nodes, by watching. `nowMs` is a monotonic clock in milliseconds. */
export class NodeView implements AsyncDisposable {
  readonly #seen = new Map<string, Seen>();
  readonly #stop = new AbortController();
  readonly #nowMs: () => number;
  readonly #watching: Promise<void>;
  readonly #listeners = new Set<() => void>();
  /** Nodes that a lost registry knew and that have not been heard of since. */
  readonly #awaited = new Set<string>();
  #epoch = 0;
  #incarnation = "";
  #isFilled = false;

  constructor(bus: Bus, nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    const watcher = {
      onBegin: (begin: WatchBegin) => this.#begin(begin),
      onValue: (value: WatchedValue) => this.#apply(value),
      onFilled: () => this.#fill(),
      onLost: () => this.#setFilled(false),
    };
    this.#watching = bucketOf(bus).watch(watcher, this.#stop.signal);
  }

  /** Whether everything that was in the registry when the watch began has been seen, and the watch goes on. */
  get isFilled(): boolean {
    return this.#isFilled;
  }

  /** Which registry it was: another word after the registry was lost and made again. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** Nodes that were alive when the registry was lost, and have not been heard of since. They are here until they count as down. */
  awaited(): string[] {
    return [...this.#awaited].filter((nodeId) => (this.get(nodeId)?.liveness ?? "down") !== "down");
  }

  /** All nodes ever seen and not removed, by id. */
  all(): NodeRecord[] {
    return [...this.#seen.keys()]
      .sort()
      .map((nodeId) => this.get(nodeId))
      .filter((record) => record !== undefined);
  }

  get(nodeId: string): NodeRecord | undefined {
    const seen = this.#seen.get(nodeId);
    if (seen === undefined) return undefined;
    const ageMs = Math.max(0, this.#nowMs() - seen.seenAtMs);
    return { nodeId, heartbeat: seen.heartbeat, ageMs, liveness: livenessOf(ageMs) };
  }

  /** Calls `listener` after each heartbeat or removal, and when `isFilled` changes; the result stops that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #begin({ epoch, incarnation, isOtherStream }: WatchBegin): void {
    this.#epoch = epoch;
    this.#incarnation = incarnation;
    // The nodes live on, though the registry was lost: each puts its heartbeat again.
    if (isOtherStream) for (const nodeId of this.#seen.keys()) this.#awaited.add(nodeId);
    this.#setFilled(false);
  }

  #apply({ id, value, ageMs }: WatchedValue): void {
    const heartbeat = value && parse(value);
    this.#awaited.delete(id);
    if (heartbeat === undefined) this.#seen.delete(id);
    else this.#seen.set(id, { heartbeat, seenAtMs: this.#nowMs() - ageMs, epoch: this.#epoch });
    this.#tell();
  }

  /** What the registry does not hold is gone, unless it was lost itself. */
  #fill(): void {
    for (const [nodeId, { epoch }] of this.#seen)
      if (epoch < this.#epoch && !this.#awaited.has(nodeId)) this.#seen.delete(nodeId);
    this.#setFilled(true);
  }

  #setFilled(isFilled: boolean): void {
    if (this.#isFilled === isFilled) return;
    this.#isFilled = isFilled;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** How a node is whose last heartbeat is `ageMs` old. */
export function livenessOf(ageMs: number): Liveness {
  if (ageMs < SUSPECT_AFTER_MS) return "up";
  return ageMs < DOWN_AFTER_MS ? "suspect" : "down";
}

const bucketOf = (bus: Bus): KvBucket => {
  const known = buckets.get(bus) ?? new KvBucket(bus, NODES_BUCKET);
  buckets.set(bus, known);
  return known;
};
/** One opened bucket for each connection, however many heartbeats. */
const buckets = new WeakMap<Bus, KvBucket>();

function parse(value: Uint8Array): nodepb.Heartbeat | undefined {
  try {
    return fromBinary(nodepb.HeartbeatSchema, value);
  } catch {
    return undefined;
  }
}
