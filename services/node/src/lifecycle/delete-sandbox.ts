import { PaddockError } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { ownerOf, releaseSandbox } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { deletedOutcome } from "../store/request-outcome.ts";

/**
 * Deletes a sandbox in any state, without asking its guest. The record is `deleting` before any other change, so that the next
 * start finishes a deletion that a crash interrupts; the deletion's request, if any, has then succeeded. Needs the lock.
 */
export async function deleteSandboxEntry(
  ctx: NodeContext,
  entry: SandboxEntry,
  requestId?: string,
): Promise<void> {
  const owner = ownerOf(ctx, entry);
  entry.update((record) => ({
    ...record,
    phase: { kind: "deleting", ...(requestId !== undefined && { requestId }) },
  }));
  // Only now: a deletion that could not be recorded has not begun, and then the end of the VM is a loss.
  if (entry.vm !== undefined) entry.vm.endExpected = true;
  entry.detach(new PaddockError("SANDBOX_NOT_FOUND", `sandbox ${entry.sandboxId} was deleted`));
  await releaseSandbox(ctx, entry, owner, "all");
  entry.remove(requestId === undefined ? undefined : deletedOutcome(requestId));
  ctx.sandboxes.remove(entry.sandboxId);
}

/**
 * After a failed creation: deletes what could not be undone; if that fails too, the next start tries again. Returns whether
 * nothing is left.
 */
export async function forget(ctx: NodeContext, entry: SandboxEntry): Promise<boolean> {
  try {
    await deleteSandboxEntry(ctx, entry);
    return true;
  } catch (error) {
    entry.log.error({ err: error }, "cleaning up a failed creation failed; the next start tries again");
    return false;
  }
}
