import { rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { writableLayerPath } from "../sandboxes/sandbox-paths.ts";
import type { ContainerRecord } from "../sandboxes/sandbox-record.ts";
import { deletedOutcome } from "../store/request-outcome.ts";
import { unplugDisks } from "./create-container-entry.ts";

const TIMEOUT_MS = 15_000;

/** Removes a container from its guest and its VM, with its writable layer and logs. Needs the lock. */
export async function deleteContainerEntry(
  ctx: NodeContext,
  entry: SandboxEntry,
  container: ContainerRecord,
  { requestId, signal }: { readonly requestId: string; readonly signal: AbortSignal },
): Promise<void> {
  const { containerId, index } = container;
  entry.stopRequests.add(containerId);
  if (entry.attachment !== undefined) {
    const { containers } = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
    await containers
      .removeContainer({ containerId }, { signal, timeoutMs: TIMEOUT_MS })
      .catch((error: unknown) => {
        if (!(error instanceof PaddockError) || error.reason !== "CONTAINER_NOT_FOUND") throw error;
      });
    await unplugDisks(entry, container, signal);
  }
  await ctx.logs.stop(entry.sandboxId, containerId);
  await ctx.logs.remove(entry, containerId);
  await rm(writableLayerPath(entry.paths, index), { force: true });
  entry.update(
    (record) => ({
      ...record,
      containers: record.containers.filter((each) => each.containerId !== containerId),
    }),
    undefined,
    { outcome: deletedOutcome(requestId) },
  );
  entry.stopRequests.delete(containerId);
  if (entry.attachment !== undefined) resizeSoon(ctx, entry, entry.attachment);
}
