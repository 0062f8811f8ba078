/**
 * The nodes of the fleet and their state.
 *
 * A node writes a heartbeat to the bucket every 5 s. Readers watch the bucket and measure the age of the last heartbeat with
 * their own monotonic clock: they never compare the clocks of two hosts, and nothing expires in the bucket, because that sends no
 * event. The server's clock gives the age of a heartbeat that was stored before the watch began, so that a node that died
 * yesterday does not look alive for 15 s at each start of an api.
 */
import { toBinary } from "@bufbuild/protobuf";
import { fromBinaryIfValid, nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { KvBucket } from "./kv-bucket.ts";
import type { WatchedValue } from "./kv-watch.ts";
import { RegistryView } from "./registry-view.ts";
import { NODES_BUCKET } from "./subjects.ts";

/** Time between two heartbeats, in milliseconds. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
/** Age of the last heartbeat, in milliseconds, at which a node is suspect, and down. */
export const SUSPECT_AFTER_MS = 15_000;
export const DOWN_AFTER_MS = 30_000;

export type Liveness = "up" | "suspect" | "down";

/** The known state of a node. */
export type NodeRecord = {
  readonly nodeId: string;
  readonly heartbeat: nodepb.Heartbeat;
  readonly liveness: Liveness;
  /** Age of the heartbeat in milliseconds. */
  readonly ageMs: number;
};

/** Stores a node's heartbeat. Throws `PaddockError` BUS_UNAVAILABLE. */
export async function putHeartbeat(bus: Bus, heartbeat: nodepb.Heartbeat): Promise<void> {
  const nodeId = heartbeat.node?.nodeId;
  if (!nodeId) throw new Error("the heartbeat has no node id");
  await new KvBucket(bus, NODES_BUCKET).put(nodeId, toBinary(nodepb.HeartbeatSchema, heartbeat));
}

type Seen = {
  readonly heartbeat: nodepb.Heartbeat;
  readonly seenAtMs: number;
  readonly epoch: number;
};

/** The nodes, from a watch. `nowMs` is a monotonic clock in milliseconds. Listeners are called at each heartbeat and removal. */
export class NodeView extends RegistryView {
  readonly #seen = new Map<string, Seen>();
  readonly #nowMs: () => number;
  /** Nodes of a lost registry that have not sent a heartbeat since. */
  readonly #awaited = new Set<string>();

  constructor(bus: Bus, nowMs: () => number = () => performance.now()) {
    super(new KvBucket(bus, NODES_BUCKET));
    this.#nowMs = nowMs;
  }

  /** Nodes that were alive when the registry was lost, and have sent no heartbeat since, until they count as down. */
  awaited(): string[] {
    return [...this.#awaited].filter((nodeId) => (this.get(nodeId)?.liveness ?? "down") !== "down");
  }

  /** All nodes that are not removed, by id. */
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

  protected override take({ id, value, ageMs }: WatchedValue): void {
    const heartbeat = value && fromBinaryIfValid(nodepb.HeartbeatSchema, value);
    this.#awaited.delete(id);
    if (heartbeat === undefined) this.#seen.delete(id);
    else this.#seen.set(id, { heartbeat, seenAtMs: this.#nowMs() - ageMs, epoch: this.epoch });
    this.notify();
  }

  /** A node that was not received has been removed, unless the registry was lost. */
  protected override fill(): void {
    for (const [nodeId, { epoch }] of this.#seen)
      if (epoch < this.epoch && !this.#awaited.has(nodeId)) this.#seen.delete(nodeId);
    this.setFilled(true);
  }

  /** Each node that is alive writes its heartbeat again. */
  protected override lose(): void {
    for (const nodeId of this.#seen.keys()) this.#awaited.add(nodeId);
  }
}

/** The liveness of a node whose last heartbeat is `ageMs` old. */
export function livenessOf(ageMs: number): Liveness {
  if (ageMs < SUSPECT_AFTER_MS) return "up";
  return ageMs < DOWN_AFTER_MS ? "suspect" : "down";
}
