import { createInGuest, removeFromGuest } from "../containers/create-in-guest.ts";
import { requireImageOfId } from "../containers/require-image.ts";
import { resize } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { entitled } from "../record/entitled.ts";
import { containerOf } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

/**
 * Recreates an ended container as `ready`, on its present disks: its files are kept, its cgroup and namespaces are new. A
 * container that has not ended is left unchanged. Until the guest has created it, the record keeps the previous exit status: a
 * failure, or the end of the daemon, in between changes nothing. `requestId` is that of the start. Needs the lock.
 */
export async function recreateContainer(
  ctx: NodeContext,
  entry: SandboxEntry,
  containerId: string,
  { requestId, signal }: { readonly requestId: string; readonly signal: AbortSignal },
): Promise<void> {
  const former = containerOf(entry.record, containerId);
  if (former?.phase.kind !== "stopped") return;
  const container = { ...former, instance: ctx.newId() };
  const image = requireImageOfId(ctx, container.imageId);
  await ctx.logs.stop(entry.sandboxId, containerId);
  const counted = [...entitled(entry.record), container];
  await resize(ctx, entry, signal, { containers: counted, growOnly: true });
  await removeFromGuest(entry, containerId, signal);
  await createInGuest(entry, container, { config: image.config, counted, signal });
  entry.vm?.stopRequests.delete(containerId);
  entry.updateContainer(containerId, (each) => ({
    ...each,
    instance: container.instance,
    oomKillCount: 0,
    restarts: each.restarts + 1,
    startRequestId: requestId,
    phase: { kind: "ready" },
  }));
  ctx.logs.follow(entry, containerId);
}
