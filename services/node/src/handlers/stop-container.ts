import { PaddockError } from "@paddock/domain";
import type { StopContainerRequest, StopContainerResponse } from "@paddock/protocol";
import { endContainers } from "../containers/end-containers.ts";
import type { NodeContext } from "../node-context.ts";
import { withContainer } from "../sandboxes/sandbox-record.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, requireContainer, shownContainer } from "./call.ts";
import { graceOf } from "./grace.ts";

export async function stopContainer(
  ctx: NodeContext,
  { sandboxId, containerId, grace }: StopContainerRequest,
  call: Call,
): Promise<Answer<StopContainerResponse>> {
  return await locked(ctx, sandboxId, "StopContainer", call, async (entry) => {
    if (permitsContainer(entry, containerId, "stop")) {
      const graceMs = graceOf(grace, call.deadline, ctx.nowMs());
      if (!(await endContainers(ctx, entry, [containerId], graceMs)))
        throw new PaddockError("GUEST_UNAVAILABLE", `the end of container ${containerId} was not seen`, {
          hint: "the guest may hang; StopSandbox with force needs no guest",
        });
      // One that never ran has no init to end.
      if (requireContainer(entry, containerId).phase.kind === "ready")
        entry.update((record) =>
          withContainer(record, containerId, (container) => ({
            ...container,
            phase: { kind: "stopped", cause: "requested", stoppedAtMs: ctx.nowMs() },
          })),
        );
    }
    return { container: shownContainer(entry, containerId) };
  });
}
