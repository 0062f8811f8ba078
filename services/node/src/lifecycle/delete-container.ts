import { rm } from "node:fs/promises";
import { removeFromGuest } from "../containers/create-in-guest.ts";
import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { volumesWithout } from "../record/sandbox-volumes.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { deletedOutcome } from "../store/request-outcome.ts";
import { writableLayerPath } from "../vm/vm-paths.ts";
import { detachVolumes } from "./attach-volumes.ts";
import { unplugDisks } from "./create-container.ts";

/** Removes a container from its guest and its VM, and deletes its writable layer and logs. Needs the lock. */
export async function deleteContainerEntry(
  ctx: NodeContext,
  entry: SandboxEntry,
  container: ContainerRecord,
  { requestId, signal }: { readonly requestId: string; readonly signal: AbortSignal },
): Promise<void> {
  const { containerId, index } = container;
  const { vm } = entry;
  const volumes = volumesWithout(entry.record, containerId);
  vm?.stopRequests.add(containerId);
  if (vm !== undefined) {
    await removeFromGuest(entry, containerId, signal);
    await unplugDisks(entry, container, signal);
  }
  await detachVolumes(entry, volumes, signal);
  await ctx.logs.stop(entry.sandboxId, containerId);
  await ctx.logs.remove(entry, containerId);
  await rm(writableLayerPath(entry.vmPaths, index), { force: true });
  entry.update(
    (record) => ({
      ...record,
      containers: record.containers.filter((each) => each.containerId !== containerId),
      volumes: record.volumes.filter((each) => !volumes.includes(each)),
    }),
    { outcome: deletedOutcome(requestId) },
  );
  vm?.stopRequests.delete(containerId);
  if (entry.vm !== undefined) resizeSoon(ctx, entry, entry.vm);
}
