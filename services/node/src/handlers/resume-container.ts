import type { ResumeContainerRequest, ResumeContainerResponse } from "@paddock/protocol";
import { freezeContainer } from "../containers/freeze-container.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, shownContainer } from "./call.ts";

export async function resumeContainer(
  ctx: NodeContext,
  { sandboxId, containerId }: ResumeContainerRequest,
  call: Call,
): Promise<Answer<ResumeContainerResponse>> {
  return await locked(ctx, sandboxId, "ResumeContainer", call, async (entry) => {
    if (permitsContainer(entry, containerId, "resume"))
      await freezeContainer(ctx, entry, { containerId, wanted: "running", signal: call.signal });
    return { container: shownContainer(entry, containerId) };
  });
}
