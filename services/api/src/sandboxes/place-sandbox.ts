/**
 * Placing a sandbox: claims its id in the registry, then asks one node after another until one accepts it. Every call that
 * creates a sandbox on a node uses this; the calls differ in their demand and in their request to the node.
 *
 *   claim ──> ask node ──created──> answer; the claim stays as the placement
 *     │          ├──refused, for a reason another node may not have──> move the claim there, ask that node
 *     │          ├──definitely failed──> release the claim, return the error
 *     │          └──outcome unknown (timeout, connection lost, internal error)──> keep the claim, return the error
 *     └──taken──> by the same request: renew the claim, ask that node again, whose ledger knows the outcome; keep the claim
 *                 by the same request id with another body: REQUEST_ID_REUSED
 *                 by another request: SANDBOX_EXISTS
 *
 * Only the call that made a claim releases it. The failure of a repeat does not tell whether an earlier attempt has created the
 * sandbox or is creating it. A repeat renews the claim before it asks, so an earlier attempt that fails in the meantime cannot
 * release it. A kept claim is settled later, by the next create or read of the id (`settle`).
 *
 * The generation is the wall clock in milliseconds, raised above every generation seen before, because the clock of another api
 * may be ahead. It must keep rising after the registry was lost and rebuilt from the nodes; a revision of the bucket would not.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { PlacedSandbox } from "@paddock/bus";
import { candidates, type Demand, type ErrorReason, isOutcomeUnknown, PaddockError } from "@paddock/domain";
import { nodepb } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { nodeOffer } from "../nodes/node-message.ts";
import { isVacant } from "./locate-sandbox.ts";
import type { PlacementContext } from "./placement-context.ts";

/** A sandbox to place. */
export type Placing<T> = {
  readonly sandboxId: string;
  readonly requestId: string;
  /** Digest of the request. A repeat has the same digest. */
  readonly digest: Uint8Array;
  /** The demand on a node. Called when a node must be chosen; its errors fail the call. */
  readonly demand: () => Demand;
  /** The only node that can take it; undefined means any. Called when a node must be chosen; its errors fail the call. */
  readonly onlyNode?: () => Promise<string | undefined>;
  /** Asks the node of a placement for the sandbox. */
  readonly ask: (placement: nodepb.Placement) => Promise<T>;
};

/** A node's reasons for which another node may still accept the sandbox. */
const TRY_NEXT: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  "NO_CAPACITY",
  "NO_DISK_SPACE",
  "TOO_MANY",
  "IMAGE_NOT_FOUND",
  "STATE_UNWRITABLE",
  "HOST_REFUSED",
  "NODE_UNAVAILABLE",
  "SHUTTING_DOWN",
]);

/** Places the sandbox on a node and returns the node's answer. Throws `PaddockError` as above, and NO_NODES or NO_CAPACITY. */
export async function placeSandbox<T>(
  api: PlacementContext,
  ctx: CallContext,
  placing: Placing<T>,
): Promise<T> {
  const { sandboxId } = placing;
  ctx.signal.throwIfAborted();
  // An id that the registry lacks is free only if the registry is complete.
  await api.sight.seen(ctx);
  const existing = await api.placements.read(sandboxId);
  if (existing !== undefined && !(await isVacant(api, ctx, existing)))
    return repeat(api, ctx, placing, existing);
  const only = await placing.onlyNode?.();
  const offers = api.nodes.all().map(nodeOffer);
  const able = only === undefined ? offers : offers.filter(({ nodeId }) => nodeId === only);
  const [first, ...others] = candidates(able, placing.demand(), sandboxId);
  const claim = await api.placements.claim(claimFor(api, placing, first, 0n));
  if (claim.kind === "taken") return repeat(api, ctx, placing, claim.placed);
  return askInTurn(api, ctx, placing, claim.placed, others);
}

/** The id is claimed. If this request claimed it, asks the same node again. */
async function repeat<T>(
  api: PlacementContext,
  ctx: CallContext,
  placing: Placing<T>,
  placed: PlacedSandbox,
): Promise<T> {
  requireSameRequest(placing, placed.placement);
  const claimedAt = timestampFromMs(api.now());
  const renewed = await api.placements.move({ ...placed.placement, claimedAt }, placed.revision);
  // Another call has changed the claim in the meantime.
  return renewed === undefined ? placeSandbox(api, ctx, placing) : placing.ask(renewed.placement);
}

function requireSameRequest(placing: Placing<unknown>, claimed: nodepb.Placement): void {
  // A placement that was rebuilt from its node has no request. The node knows it.
  if (claimed.requestId === "") return;
  const { sandboxId, requestId, digest } = placing;
  if (claimed.requestId !== requestId)
    throw new PaddockError("SANDBOX_EXISTS", `the id ${sandboxId} is taken`, {
      hint: "choose another sandbox_id, or delete that sandbox first",
      metadata: { sandbox_id: sandboxId, node_id: claimed.nodeId },
    });
  if (Buffer.compare(claimed.requestDigest, digest) !== 0)
    throw new PaddockError("REQUEST_ID_REUSED", `request id ${requestId} was used for another request`, {
      hint: "use a new request_id for each new request",
      metadata: { sandbox_id: sandboxId },
    });
}

/** Asks the node of a claim that this call has made, then the other nodes. */
async function askInTurn<T>(
  api: PlacementContext,
  ctx: CallContext,
  placing: Placing<T>,
  claimed: PlacedSandbox,
  others: readonly string[],
): Promise<T> {
  let placed = claimed;
  const left = [...others];
  for (;;) {
    try {
      return await placing.ask(placed.placement);
    } catch (error) {
      if (!hasMadeNothing(error)) throw error;
      const next = isTryNext(error) && !ctx.signal.aborted ? left.shift() : undefined;
      if (next === undefined) {
        await release(api, placed);
        throw error;
      }
      const { nodeId, generation } = placed.placement;
      api.log.info(
        { sandboxId: placing.sandboxId, nodeId, next, err: error },
        "a node refused a sandbox, trying the next node",
      );
      const moved = await api.placements.move(claimFor(api, placing, next, generation), placed.revision);
      // Another call has changed the claim in the meantime.
      if (moved === undefined) return placeSandbox(api, ctx, placing);
      placed = moved;
    }
  }
}

/** Whether the error means that the node has no such sandbox and will not create it. An internal error does not. */
const hasMadeNothing = (error: unknown): boolean =>
  error instanceof PaddockError && error.reason !== "INTERNAL" && !isOutcomeUnknown(error);

const isTryNext = (error: unknown): boolean => error instanceof PaddockError && TRY_NEXT.has(error.reason);

/** A claim that cannot be released now is settled by a later read. */
async function release(api: PlacementContext, placed: PlacedSandbox): Promise<void> {
  try {
    await api.placements.release(placed);
  } catch (error) {
    api.log.warn(
      { sandboxId: placed.placement.sandboxId, err: error },
      "cannot release the claim of a sandbox",
    );
  }
}

function claimFor(
  api: PlacementContext,
  { sandboxId, requestId, digest }: Placing<unknown>,
  nodeId: string,
  generationBefore: bigint,
): nodepb.Placement {
  const nowMs = api.now();
  const byClock = BigInt(nowMs);
  const seen = api.placements.highestGeneration;
  const before = seen > generationBefore ? seen : generationBefore;
  return create(nodepb.PlacementSchema, {
    sandboxId,
    nodeId,
    generation: byClock > before ? byClock : before + 1n,
    requestId,
    requestDigest: digest,
    claimedAt: timestampFromMs(nowMs),
  });
}
