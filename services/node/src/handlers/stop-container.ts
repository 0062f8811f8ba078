import { PaddockError } from "@paddock/domain";
import type { StopContainerRequest, StopContainerResponse } from "@paddock/protocol";
import { endContainers } from "../containers/end-containers.ts";
import { endUnstarted } from "../containers/end-unstarted.ts";
import type { NodeContext } from "../node-context.ts";
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
      const { kind } = requireContainer(entry, containerId).phase;
      const ended =
        kind === "ready"
          ? await endUnstarted(entry, containerId)
          : await endContainers(ctx, entry, [containerId], graceMs);
      if (!ended)
        throw new PaddockError("GUEST_UNAVAILABLE", `the end of container ${containerId} was not seen`, {
          hint: "the guest may hang; StopSandbox with force needs no guest",
        });
    }
    return { container: shownContainer(entry, containerId) };
  });
}
