/**
 * Which nodes there are, and how they are.
 *
 * A node puts a heartbeat into the bucket every 5 s. Readers watch, and judge by their own monotonic clock how long ago they saw
 * the last one: never by comparing two hosts' clocks, and never by an expiry of the bucket, which makes no event. The one
 * exception is what was there when the watch began: its age is how long ago the server stored it, so that a node which died
 * yesterday does not come back to life for 15 s with each start of an api.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { KvBucket, type WatchEvent } from "./kv-bucket.ts";
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

type Seen = { readonly heartbeat: nodepb.Heartbeat; readonly seenAtMs: number; readonly epoch: number };

/** A live view of the nodes, by watching. `nowMs` is a monotonic clock in milliseconds. */
export class NodeView implements AsyncDisposable {
  readonly #seen = new Map<string, Seen>();
  readonly #stop = new AbortController();
  readonly #nowMs: () => number;
  readonly #watching: Promise<void>;
  readonly #listeners = new Set<() => void>();

  constructor(bus: Bus, nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#watching = bucketOf(bus).watch((event) => this.#apply(event), this.#stop.signal);
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

  /** Calls `listener` after each heartbeat or removal; the result stops that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #apply(event: WatchEvent): void {
    const heartbeat = event.value && parse(event.value);
    if (heartbeat === undefined) this.#seen.delete(event.id);
    else this.#seen.set(event.id, { heartbeat, seenAtMs: this.#seenAt(event), epoch: event.epoch });
    if (event.isComplete) this.#sweep(event.epoch);
    for (const listener of this.#listeners) listener();
  }

  /** A value that was there before is as old as the server says. */
  #seenAt(event: WatchEvent): number {
    if (event.isChange && event.epoch === (this.#seen.get(event.id)?.epoch ?? event.epoch))
      return this.#nowMs();
    return this.#nowMs() - Math.max(0, Date.now() - event.storedAt.getTime());
  }

  /** After the watch began anew and told all there is, what it did not tell is gone. */
  #sweep(epoch: number): void {
    for (const [nodeId, seen] of this.#seen) if (seen.epoch < epoch) this.#seen.delete(nodeId);
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
