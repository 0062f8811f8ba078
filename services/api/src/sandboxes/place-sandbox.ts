/**
 * Creating a sandbox: claim its id in the registry, then ask one node after another until one takes it.
 *
 *   claim ──> ask node ──created──> answer, the claim stays as the placement
 *     │          ├──refused, for a reason another node may not have──> move the claim there, ask it
 *     │          ├──failed for sure──> release the claim, answer the error
 *     │          └──outcome unknown (timeout, connection lost, a bug)──> keep the claim, answer the error
 *     └──taken──> by the same request: renew the claim, ask that node again, whose ledger knows the outcome; keep it whatever it says
 *                 by the same request id with another body: REQUEST_ID_REUSED
 *                 by another request: SANDBOX_EXISTS
 *
 * Only who made a claim gives it up. A failure of a repeat says nothing of what an earlier attempt has made or is making; and as a
 * repeat renews the claim before it asks, an attempt that has failed meanwhile cannot take it away from under it. A kept
 * claim is settled by the next create or read after a while (`settle`). The generation is the wall clock in
 * milliseconds, raised above every one that was seen before, as the clock of another api may be ahead: it must keep rising when the registry
 * has been lost and rebuilt from the nodes, which a revision of the bucket would not.
 */
import { create, type DescMessage, type DescMethodUnary, type MessageShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { PlacedSandbox } from "@paddock/bus";
import { candidates, type ErrorReason, isOutcomeUnknown, PaddockError, sandboxDemand } from "@paddock/domain";
import { nodepb, type SandboxSpec } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askNode } from "../nodes/ask-node.ts";
import { nodeOffer } from "../nodes/node-message.ts";
import { isVacant } from "./locate-sandbox.ts";

/** CreateSandbox or RunSandbox, with the sandbox id filled in. */
export type Creation<I extends DescMessage, O extends DescMessage> = {
  readonly method: DescMethodUnary<I, O>;
  readonly body: MessageShape<I> & {
    readonly requestId: string;
    readonly sandboxId: string;
    readonly spec?: SandboxSpec | undefined;
  };
  /** Digest of the body, the same for the same request. */
  readonly digest: Uint8Array;
};

/** Reasons of a node for which another node may still take the sandbox. */
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

/** Creates the sandbox on some node. Throws `PaddockError` as described above, and NO_NODES or NO_CAPACITY. */
export async function placeSandbox<I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  ctx: CallContext,
  creation: Creation<I, O>,
): Promise<MessageShape<O>> {
  const { sandboxId } = creation.body;
  // An id that the registry lacks is free only when it lacks nothing.
  await api.sight.seen(ctx);
  const existing = await api.placements.read(sandboxId);
  if (existing !== undefined && !(await isVacant(api, ctx, existing)))
    return repeat(api, ctx, creation, existing);
  const offers = api.nodes.all().map(nodeOffer);
  const demand = sandboxDemand(creation.body.spec ?? { containers: [] });
  const [first, ...rest] = candidates(offers, demand, sandboxId);
  const claim = await api.placements.claim(claimFor(api, creation, first, 0n));
  if (claim.kind === "taken") return repeat(api, ctx, creation, claim.placed);
  return tryNodes(api, ctx, creation, claim.placed, rest);
}

/** The id is claimed: by this very request, which is then asked again of the same node, or by another one. */
async function repeat<I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  ctx: CallContext,
  creation: Creation<I, O>,
  placed: PlacedSandbox,
): Promise<MessageShape<O>> {
  const { sandboxId, requestId } = creation.body;
  // A placement that was rebuilt from its node does not know its request. The node does.
  const isRebuilt = placed.placement.requestId === "";
  if (!isRebuilt && placed.placement.requestId !== requestId) {
    throw new PaddockError("SANDBOX_EXISTS", `the id ${sandboxId} is taken`, {
      hint: "choose another sandbox_id, or delete that sandbox first",
      metadata: { sandbox_id: sandboxId, node_id: placed.placement.nodeId },
    });
  }
  if (!isRebuilt && Buffer.compare(placed.placement.requestDigest, creation.digest) !== 0) {
    throw new PaddockError("REQUEST_ID_REUSED", `request id ${requestId} was used for another request`, {
      hint: "use a new request_id for each new request",
      metadata: { sandbox_id: sandboxId },
    });
  }
  const claimedAt = timestampFromMs(api.now());
  const renewed = await api.placements.move({ ...placed.placement, claimedAt }, placed.revision);
  return renewed === undefined ? placeAnew(api, ctx, creation) : ask(api, ctx, creation, renewed);
}

/** After the claim was changed by someone else, who is then asked about. */
function placeAnew<I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  ctx: CallContext,
  creation: Creation<I, O>,
): Promise<MessageShape<O>> {
  ctx.signal.throwIfAborted();
  return placeSandbox(api, ctx, creation);
}

/** Asks the node of a claim that this call has made, then the others. */
async function tryNodes<I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  ctx: CallContext,
  creation: Creation<I, O>,
  claimed: PlacedSandbox,
  others: readonly string[],
): Promise<MessageShape<O>> {
  let placed = claimed;
  const left = [...others];
  for (;;) {
    try {
      return await ask(api, ctx, creation, placed);
    } catch (error) {
      if (!hasMadeNothing(error)) throw error;
      const next = isTryNext(error) && !ctx.signal.aborted ? left.shift() : undefined;
      if (next === undefined) {
        await release(api, placed);
        throw error;
      }
      api.log.info(
        { sandboxId: creation.body.sandboxId, nodeId: placed.placement.nodeId, next },
        "trying the next node",
      );
      const moved = await api.placements.move(
        claimFor(api, creation, next, placed.placement.generation),
        placed.revision,
      );
      if (moved === undefined) return placeAnew(api, ctx, creation);
      placed = moved;
    }
  }
}

const ask = <I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  ctx: CallContext,
  { method, body }: Creation<I, O>,
  { placement }: PlacedSandbox,
): Promise<MessageShape<O>> =>
  askNode(api, ctx, {
    nodeId: placement.nodeId,
    method,
    body,
    generation: placement.generation,
    awaitOutcome: true,
  });

/** Whether a node's failure to create says that it has no such sandbox and will make none. What a bug has left nobody knows. */
const hasMadeNothing = (error: unknown): boolean =>
  error instanceof PaddockError && error.reason !== "INTERNAL" && !isOutcomeUnknown(error);

const isTryNext = (error: unknown): boolean => error instanceof PaddockError && TRY_NEXT.has(error.reason);

/** A claim that cannot be released now is settled by a read later. */
async function release(api: ApiContext, placed: PlacedSandbox): Promise<void> {
  try {
    await api.placements.release(placed);
  } catch (error) {
    api.log.warn({ sandboxId: placed.placement.sandboxId, err: error }, "a claim could not be released");
  }
}

function claimFor<I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  { body, digest }: Creation<I, O>,
  nodeId: string,
  generationBefore: bigint,
): nodepb.Placement {
  const nowMs = api.now();
  const byClock = BigInt(nowMs);
  const seen = api.placements.highestGeneration;
  const before = seen > generationBefore ? seen : generationBefore;
  return create(nodepb.PlacementSchema, {
    sandboxId: body.sandboxId,
    nodeId,
    generation: byClock > before ? byClock : before + 1n,
    requestId: body.requestId,
    requestDigest: digest,
    claimedAt: timestampFromMs(nowMs),
  });
}
