/** Finds the node of a sandbox, and settles the claim if that node does not have the sandbox. */
import { create } from "@bufbuild/protobuf";
import type { PlacedSandbox } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { GetSandboxRequestSchema, SandboxService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { askNode } from "../nodes/ask-node.ts";
import type { PlacementContext } from "./placement-context.ts";

/**
 * Age of a claim, counted from when this api received it, after which the node's answer that it has no such sandbox is final. By
 * then a node knows of every create in progress.
 */
const CLAIM_SETTLES_AFTER_MS = 150_000;

/** The placement of a sandbox. Throws `PaddockError` SANDBOX_NOT_FOUND, BUS_UNAVAILABLE. */
export async function locateSandbox(
  api: PlacementContext,
  ctx: CallContext,
  sandboxId: string,
): Promise<PlacedSandbox> {
  const placed = await api.placements.lookup(sandboxId);
  if (placed !== undefined) return placed;
  // After the registry was lost, the sandbox may not have been claimed again yet.
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

/** Whether the error means that the node does not have the sandbox, or no longer has it. */
export const isMisplaced = (error: unknown): boolean =>
  error instanceof PaddockError &&
  (error.reason === "SANDBOX_NOT_FOUND" || error.reason === "STALE_GENERATION");

/**
 * Reads the registry again after an error for which `isMisplaced` holds. Returns the placement to ask instead, or undefined if it
 * has not changed. Releases an old claim of a create whose outcome is unknown.
 */
export async function settle(
  api: PlacementContext,
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
    api.log.info({ sandboxId, nodeId: current.placement.nodeId }, "released a claim without a sandbox");
    await api.placements.release(current);
  }
  return undefined;
}

/** Whether a claim is old and its node reports that it has no such sandbox. If so, the claim is released and the id is free. */
export async function isVacant(
  api: PlacementContext,
  ctx: CallContext,
  placed: PlacedSandbox,
): Promise<boolean> {
  if (api.placements.ageMs(placed) <= CLAIM_SETTLES_AFTER_MS) return false;
  const { sandboxId, nodeId, generation } = placed.placement;
  const body = create(GetSandboxRequestSchema, { sandboxId });
  try {
    await askNode(api, ctx, { nodeId, method: SandboxService.method.getSandbox, body, generation });
    return false;
  } catch (error) {
    if (isMisplaced(error)) await settle(api, placed, error);
    return (await api.placements.read(sandboxId)) === undefined;
  }
}
