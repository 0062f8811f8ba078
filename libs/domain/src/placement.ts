/**
 * Where a sandbox may go: a pure judgement of what the nodes say of themselves.
 *
 * The view is seconds old and every api has its own, so this only orders the candidates; the node admits or refuses, and the next
 * is tried. Equals are ordered by a hash of sandbox and node, so that apis that think alike do not all choose the same node.
 */
import type { Amount } from "./admission.ts";
import { PaddockError } from "./errors.ts";

/** What a node offers. */
export type NodeOffer = {
  readonly nodeId: string;
  readonly liveness: "up" | "suspect" | "down";
  readonly cordoned: boolean;
  readonly capacity: Amount;
  readonly allocated: Amount;
};

/** Why a node is no candidate. */
export type Unfit = "suspect" | "down" | "cordoned" | "memory" | "cpus";

/** Why the node cannot take `demand`, or undefined when it can. */
export function unfit(offer: NodeOffer, demand: Amount): Unfit | undefined {
  if (offer.liveness !== "up") return offer.liveness;
  if (offer.cordoned) return "cordoned";
  if (offer.allocated.memoryBytes + demand.memoryBytes > offer.capacity.memoryBytes) return "memory";
  if (offer.allocated.milliCpus + demand.milliCpus > offer.capacity.milliCpus) return "cpus";
  return undefined;
}

/**
 * The nodes that can take `demand`, the emptiest first. Throws `PaddockError` NO_NODES when no node is up and takes new sandboxes,
 * NO_CAPACITY when those that do have no room; the metadata has the reason of each of the first 16 nodes.
 */
export function candidates(offers: readonly NodeOffer[], demand: Amount, sandboxId: string): string[] {
  const fit = offers.filter((offer) => unfit(offer, demand) === undefined);
  if (fit.length === 0) throw noCandidate(offers, demand);
  return fit
    .map((offer) => ({
      nodeId: offer.nodeId,
      fullness: fullness(offer, demand),
      draw: hash(`${sandboxId}/${offer.nodeId}`),
    }))
    .sort((a, b) => a.fullness - b.fullness || a.draw - b.draw)
    .map(({ nodeId }) => nodeId);
}

/** How full the node would be, in steps of 5 %, by its scarcest resource. Finer differences are noise. */
function fullness({ allocated, capacity }: NodeOffer, demand: Amount): number {
  const share = (used: number, all: number) => (all > 0 ? used / all : 1);
  const most = Math.max(
    share(allocated.memoryBytes + demand.memoryBytes, capacity.memoryBytes),
    share(allocated.milliCpus + demand.milliCpus, capacity.milliCpus),
  );
  return Math.round(most * 20);
}

function noCandidate(offers: readonly NodeOffer[], demand: Amount): PaddockError {
  const reasons = offers.slice(0, 16).map((offer) => [offer.nodeId, unfit(offer, demand) ?? ""] as const);
  const full = reasons.some(([, why]) => why === "memory" || why === "cpus");
  const metadata = Object.fromEntries(reasons.map(([nodeId, why]) => [`node.${nodeId}`, why]));
  if (full) {
    return new PaddockError(
      "NO_CAPACITY",
      `no node has room for ${demand.milliCpus} milli-CPUs and ${demand.memoryBytes} bytes of memory`,
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
