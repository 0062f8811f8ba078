import { rm } from "node:fs/promises";
import type { DeleteSandboxRequest, DeleteSandboxResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { deleteSandboxEntry } from "../sandboxes/delete-sandbox-entry.ts";
import { sandboxPaths } from "../sandboxes/sandbox-paths.ts";
import { deletedOutcome } from "../store/request-outcome.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permits } from "./call.ts";

export async function deleteSandbox(
  ctx: NodeContext,
  { sandboxId, force }: DeleteSandboxRequest,
  call: Call,
): Promise<Answer<DeleteSandboxResponse>> {
  if (force && ctx.sandboxes.isCorrupt(sandboxId)) {
    await deleteUnreadable(ctx, sandboxId, call);
    return {};
  }
  await locked(ctx, sandboxId, "DeleteSandbox", call, async (entry) => {
    permits(entry, force ? "force_delete" : "delete");
    await deleteSandboxEntry(ctx, entry, call.requestId);
  });
  return {};
}

/** All that a sandbox has of its host follows from its id, so one whose record cannot be read can still be deleted. */
async function deleteUnreadable(ctx: NodeContext, sandboxId: string, { requestId }: Call): Promise<void> {
  const paths = sandboxPaths(ctx.stateDir, sandboxId);
  const signal = AbortSignal.timeout(30_000);
  await ctx.machines.killStrays(paths, signal);
  await ctx.cgroups.remove(paths.name, signal);
  await rm(paths.dir, { recursive: true, force: true });
  ctx.store.removeSandbox(sandboxId, deletedOutcome(requestId));
  ctx.sandboxes.remove(sandboxId);
}
