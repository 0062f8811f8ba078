import type { ResumeContainerRequest, ResumeContainerResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { withContainer } from "../sandboxes/sandbox-record.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, shownContainer } from "./call.ts";

const TIMEOUT_MS = 10_000;

export async function resumeContainer(
  ctx: NodeContext,
  { sandboxId, containerId }: ResumeContainerRequest,
  call: Call,
): Promise<Answer<ResumeContainerResponse>> {
  return await locked(ctx, sandboxId, "ResumeContainer", call, async (entry) => {
    if (permitsContainer(entry, containerId, "resume")) {
      const { containers } = await entry.agent.client({ signal: call.signal });
      await containers.resumeContainer({ containerId }, { signal: call.signal, timeoutMs: TIMEOUT_MS });
      entry.update((record) =>
        withContainer(record, containerId, (container) =>
          container.phase.kind === "paused"
            ? { ...container, phase: { ...container.phase, kind: "running" } }
            : container,
        ),
      );
    }
    return { container: shownContainer(entry, containerId) };
  });
}
