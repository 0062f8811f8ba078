/**
 * Chooses a node for a sandbox: a pure function of what the nodes offer and what the sandbox demands.
 *
 * The view of the nodes is seconds old and each api has its own, so this only orders the candidates. The node admits or refuses the
 * sandbox; on a refusal the api tries the next candidate. Equal nodes are ordered by a hash of sandbox and node, so that several
 * apis do not all choose the same node.
 *
 * The rules below choose a node. To choose by something else (labels, isolation, devices), add a field to `Demand` and `NodeOffer`,
 * and a rule.
 */
import type { Amount } from "./admission.ts";
import { PaddockError } from "./errors.ts";

/** What a sandbox demands of its node. */
export type Demand = {
  /** Room for its VM and its disks. */
  readonly room: Amount;
};

/** What a node offers. */
export type NodeOffer = {
  readonly nodeId: string;
  readonly liveness: "up" | "suspect" | "down";
  readonly cordoned: boolean;
  readonly capacity: Amount;
  readonly allocated: Amount;
};

/** Why a node is not a candidate. */
export type Unfit = "suspect" | "down" | "cordoned" | "memory" | "cpus" | "disk";

/** Returns why the node cannot take the sandbox, or undefined when the rule allows it. */
type Rule = (offer: NodeOffer, demand: Demand) => Unfit | undefined;

/** In order: the first rule that returns a reason decides. */
const RULES: readonly Rule[] = [
  ({ liveness }) => (liveness === "up" ? undefined : liveness),
  ({ cordoned }) => (cordoned ? "cordoned" : undefined),
  ({ allocated, capacity }, { room }) =>
    allocated.memoryBytes + room.memoryBytes > capacity.memoryBytes ? "memory" : undefined,
  ({ allocated, capacity }, { room }) =>
    allocated.milliCpus + room.milliCpus > capacity.milliCpus ? "cpus" : undefined,
  ({ allocated, capacity }, { room }) =>
    allocated.diskBytes + room.diskBytes > capacity.diskBytes ? "disk" : undefined,
];

/** Why the node cannot take the sandbox, or undefined when it can. */
export function unfit(offer: NodeOffer, demand: Demand): Unfit | undefined {
  for (const rule of RULES) {
    const reason = rule(offer, demand);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** At least one node id, best first. */
export type Candidates = readonly [first: string, ...others: string[]];

/**
 * The nodes that can take the sandbox, the emptiest first. Throws NO_NODES when no node is up and accepts new sandboxes, and
 * NO_CAPACITY when the available nodes have no room, or NO_DISK_SPACE when all that they lack is disk. The metadata has the reason of each of the first 16 nodes.
 */
export function candidates(offers: readonly NodeOffer[], demand: Demand, sandboxId: string): Candidates {
  const [first, ...others] = offers
    .filter((offer) => unfit(offer, demand) === undefined)
    .map((offer) => ({
      nodeId: offer.nodeId,
      fullness: fullness(offer, demand),
      draw: hash(`${sandboxId}/${offer.nodeId}`),
    }))
    .sort((a, b) => a.fullness - b.fullness || a.draw - b.draw)
    .map(({ nodeId }) => nodeId);
  if (first === undefined) throw noCandidate(offers, demand);
  return [first, ...others];
}

/** How full the node would be, by its scarcest resource, in steps of 5 %. Smaller differences change with each heartbeat. */
function fullness({ allocated, capacity }: NodeOffer, { room }: Demand): number {
  const share = (used: number, all: number) => (used <= 0 ? 0 : all > 0 ? used / all : 1);
  const most = Math.max(
    share(allocated.memoryBytes + room.memoryBytes, capacity.memoryBytes),
    share(allocated.milliCpus + room.milliCpus, capacity.milliCpus),
    share(allocated.diskBytes + room.diskBytes, capacity.diskBytes),
  );
  return Math.round(most * 20);
}

function noCandidate(offers: readonly NodeOffer[], demand: Demand): PaddockError {
  const reasons = offers.slice(0, 16).map((offer) => [offer.nodeId, unfit(offer, demand) ?? ""] as const);
  const lacks = (...what: Unfit[]) => reasons.some(([, why]) => what.some((each) => each === why));
  const metadata = Object.fromEntries(reasons.map(([nodeId, why]) => [`node.${nodeId}`, why]));
  const { milliCpus, memoryBytes, diskBytes } = demand.room;
  if (lacks("memory", "cpus", "disk")) {
    return new PaddockError(
      lacks("memory", "cpus") ? "NO_CAPACITY" : "NO_DISK_SPACE",
      `no node has room for ${milliCpus} milli-CPUs, ${memoryBytes} bytes of memory and ${diskBytes} bytes of disk`,
      { hint: "delete sandboxes, ask for less, or add a node", metadata, retryAfterMs: 5_000 },
    );
  }
  return new PaddockError("NO_NODES", "no node is up and takes new sandboxes", {
    hint: "start a node daemon, or look at the nodes' state",
    metadata,
    retryAfterMs: 5_000,
  });
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
