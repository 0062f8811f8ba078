import type { PauseContainerRequest, PauseContainerResponse } from "@paddock/protocol";
import { freezeContainer } from "../containers/freeze-container.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, shownContainer } from "./call.ts";

export async function pauseContainer(
  ctx: NodeContext,
  { sandboxId, containerId }: PauseContainerRequest,
  call: Call,
): Promise<Answer<PauseContainerResponse>> {
  return await locked(ctx, sandboxId, "PauseContainer", call, async (entry) => {
    if (permitsContainer(entry, containerId, "pause"))
      await freezeContainer(ctx, entry, { containerId, wanted: "paused", signal: call.signal });
    return { container: shownContainer(entry, containerId) };
  });
}
