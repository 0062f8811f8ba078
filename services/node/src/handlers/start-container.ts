import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { startContainer as start } from "../containers/start-container.ts";
import { recreateContainer } from "../lifecycle/recreate-container.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { type Call, locked, permitsContainer, requireContainer, shownContainer } from "./call.ts";

export const startContainer = command(
  ContainerService.method.startContainer,
  (ctx, { sandboxId, containerId }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      if (permitsContainer(entry, containerId, "start") && !hasRun(entry, containerId, call)) {
        await recreateContainer(ctx, entry, containerId, call);
        noteStart(entry, containerId, call);
        await start(entry, containerId, ctx.nowMs, call.signal);
      }
      return { container: shownContainer(entry, containerId) };
    }),
);

/**
 * Whether this request has already started the container, which has ended since: its answer was lost with an earlier daemon,
 * and the command must not be executed a second time.
 */
function hasRun(entry: SandboxEntry, containerId: string, { requestId }: Call): boolean {
  const { phase, startRequestId } = requireContainer(entry, containerId);
  return phase.kind === "stopped" && startRequestId === requestId;
}

/** Recorded before the call to the guest, so that a start that may have taken effect is never forgotten. */
function noteStart(entry: SandboxEntry, containerId: string, { requestId }: Call): void {
  if (requireContainer(entry, containerId).startRequestId === requestId) return;
  entry.updateContainer(containerId, (each) => ({ ...each, startRequestId: requestId }));
}
