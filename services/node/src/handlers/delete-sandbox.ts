import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { deleteSandboxEntry } from "../lifecycle/delete-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import { sandboxPaths } from "../record/sandbox-paths.ts";
import { releaseResources } from "../resources/walks.ts";
import { deletedOutcome } from "../store/request-outcome.ts";
import { type VmId, vmPaths } from "../vm/vm-paths.ts";
import { type Call, locked, permits } from "./call.ts";

const TIMEOUT_MS = 30_000;

export const deleteSandbox = command(
  SandboxService.method.deleteSandbox,
  async (ctx, { sandboxId, force }, call) => {
    const unreadable = ctx.sandboxes.corruptVm(sandboxId);
    if (force && unreadable !== undefined) await deleteUnreadable(ctx, sandboxId, unreadable, call);
    else
      await locked(ctx, sandboxId, call, async (entry) => {
        permits(entry, force ? "force_delete" : "delete");
        await deleteSandboxEntry(ctx, entry, call.requestId);
      });
    return {};
  },
);

/** Deletes a sandbox whose record cannot be read: two ids outside the record determine its host resources. */
async function deleteUnreadable(
  ctx: NodeContext,
  sandboxId: string,
  vmId: VmId,
  { requestId }: Call,
): Promise<void> {
  const owner = {
    host: ctx,
    vm: vmPaths(ctx.stateDir, vmId),
    sandbox: sandboxPaths(ctx.stateDir, sandboxId),
  };
  await releaseResources(ctx.resources, "all", owner, TIMEOUT_MS);
  ctx.store.removeSandbox(sandboxId, deletedOutcome(requestId));
  ctx.sandboxes.remove(sandboxId);
}
