import type { StartContainerRequest, StartContainerResponse } from "@paddock/protocol";
import { makeAnew } from "../containers/make-anew.ts";
import { startContainer as start } from "../containers/start-container.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, shownContainer } from "./call.ts";

export async function startContainer(
  ctx: NodeContext,
  { sandboxId, containerId }: StartContainerRequest,
  call: Call,
): Promise<Answer<StartContainerResponse>> {
  return await locked(ctx, sandboxId, "StartContainer", call, async (entry) => {
    if (permitsContainer(entry, containerId, "start")) {
      await makeAnew(ctx, entry, containerId, call.signal);
      await start(entry, containerId, ctx.nowMs, call.signal);
    }
    return { container: shownContainer(entry, containerId) };
  });
}
