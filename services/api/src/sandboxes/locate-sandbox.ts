/**
 * From a sandbox's id to its node, and what to do when the node does not know the sandbox.
 */
import { create } from "@bufbuild/protobuf";
import type { PlacedSandbox } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { GetSandboxRequestSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askNode } from "../nodes/ask-node.ts";

/**
 * Age of a claim as this api has seen it, in milliseconds, from which a node that is up and does not know the sandbox is believed: a create that is under
 * way is known to its node long before.
 */
const CLAIM_SETTLES_AFTER_MS = 150_000;

/** The placement of a sandbox. Throws `PaddockError` SANDBOX_NOT_FOUND, BUS_UNAVAILABLE. */
export async function locateSandbox(
  api: ApiContext,
  ctx: CallContext,
  sandboxId: string,
): Promise<PlacedSandbox> {
  const placed = await api.placements.lookup(sandboxId);
  if (placed !== undefined) return placed;
  // It may not have been claimed again yet since the registry was lost.
  if (api.sight.missing === undefined) throw noSandbox(sandboxId);
  await api.sight.seen(ctx);
  const found = await api.placements.lookup(sandboxId);
  if (found === undefined) throw noSandbox(sandboxId);
  return found;
}

export const noSandbox = (sandboxId: string): PaddockError =>
  new PaddockError("SANDBOX_NOT_FOUND", `there is no sandbox ${sandboxId}`, {
    metadata: { sandbox_id: sandboxId },
  });

/** Whether an error says that the node we asked is not, or not any more, the sandbox's. */
export const isMisplaced = (error: unknown): boolean =>
  error instanceof PaddockError &&
  (error.reason === "SANDBOX_NOT_FOUND" || error.reason === "STALE_GENERATION");

/**
 * After `isMisplaced`: reads the registry again. The placement to ask instead, if it is another one; else undefined. A claim
 * that no create stands behind any more (its outcome was never learned) is given up here.
 */
export async function settle(
  api: ApiContext,
  asked: PlacedSandbox,
  error: unknown,
): Promise<PlacedSandbox | undefined> {
  const { sandboxId } = asked.placement;
  const current = await api.placements.read(sandboxId);
  if (current === undefined || current.revision !== asked.revision) {
    api.placements.forget(sandboxId);
    return current;
  }
  const isGone = error instanceof PaddockError && error.reason === "SANDBOX_NOT_FOUND";
  if (isGone && api.placements.ageMs(current) > CLAIM_SETTLES_AFTER_MS) {
    api.log.info({ sandboxId, nodeId: current.placement.nodeId }, "gave up a claim without a sandbox");
    await api.placements.release(current);
  }
  return undefined;
}

/** Whether an old claim has no sandbox, as its node says; it is given up then, and the id is free. */
export async function isVacant(api: ApiContext, ctx: CallContext, placed: PlacedSandbox): Promise<boolean> {
  if (api.placements.ageMs(placed) <= CLAIM_SETTLES_AFTER_MS) return false;
  const { sandboxId, nodeId, generation } = placed.placement;
  const body = create(GetSandboxRequestSchema, { sandboxId });
  try {
    await askNode(api, ctx, { nodeId, name: "getSandbox", body, sandboxId, generation });
    return false;
  } catch (error) {
    if (isMisplaced(error)) await settle(api, placed, error);
    return (await api.placements.read(sandboxId)) === undefined;
  }
}
