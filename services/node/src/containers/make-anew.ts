import { PaddockError } from "@paddock/domain";
import { entitled } from "../limits/entitled.ts";
import { cpusetInGuest } from "../limits/guest-limits.ts";
import { resize } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerOf, withContainer } from "../sandboxes/sandbox-record.ts";
import { guestContainer } from "./guest-container.ts";
import { requireImageOfId } from "./require-image.ts";

const TIMEOUT_MS = 30_000;

/**
 * Makes a container that has ended `ready` to be started again, on the disks it has: what it wrote is still there. Its cgroup
 * and namespaces are new. One that has not ended is left as it is. Until the guest has it, the record keeps its former end: a
 * failure, or the end of the daemon, in between changes nothing. `requestId` is the start's. Needs the lock.
 */
export async function makeAnew(
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
  const vcpus = entry.applied?.size.vcpus ?? entry.record.size.vcpus;
  const request = guestContainer(container, image.config, cpusetInGuest(container, counted, vcpus));
  const { containers } = await entry.agent.client({ signal });
  const options = { signal, timeoutMs: TIMEOUT_MS };
  await containers.removeContainer({ containerId }, options).catch((error: unknown) => {
    if (!(error instanceof PaddockError) || error.reason !== "CONTAINER_NOT_FOUND") throw error;
  });
  await containers.createContainer(request, options);
  entry.stopRequests.delete(containerId);
  entry.update((record) =>
    withContainer(record, containerId, (each) => ({
      ...each,
      instance: container.instance,
      oomKillCount: 0,
      restarts: each.restarts + 1,
      startRequestId: requestId,
      phase: { kind: "ready" },
    })),
  );
  ctx.logs.follow(entry, containerId);
}
