import { PaddockError } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { ownerOf, releaseSandbox } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { deletedOutcome } from "../store/request-outcome.ts";

/**
 * Deletes a sandbox in whatever state, without asking its guest. Its record says `deleting` before anything is touched, so
 * that a crash on any line is finished at the next start; the request that asked for it, if one did, has then succeeded. Needs
 * the lock.
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
  // Only now: a deletion that could not be written down has not begun, and a loss of the VM is one.
  if (entry.vm !== undefined) entry.vm.endExpected = true;
  entry.detach(new PaddockError("SANDBOX_NOT_FOUND", `sandbox ${entry.sandboxId} was deleted`));
  await releaseSandbox(ctx, entry, owner, "all");
  entry.remove(requestId === undefined ? undefined : deletedOutcome(requestId));
  ctx.sandboxes.remove(entry.sandboxId);
}

/** After a failed creation: what could not be undone is deleted, and if that fails too, left for the next start. Whether it is gone. */
export async function forget(ctx: NodeContext, entry: SandboxEntry): Promise<boolean> {
  try {
    await deleteSandboxEntry(ctx, entry);
    return true;
  } catch (error) {
    entry.log.error({ err: error }, "a failed creation left something; the next start tries again");
    return false;
  }
}
