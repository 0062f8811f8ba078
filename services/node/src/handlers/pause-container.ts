import type { PauseContainerRequest, PauseContainerResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { withContainer } from "../sandboxes/sandbox-record.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, shownContainer } from "./call.ts";

const TIMEOUT_MS = 10_000;

export async function pauseContainer(
  ctx: NodeContext,
  { sandboxId, containerId }: PauseContainerRequest,
  call: Call,
): Promise<Answer<PauseContainerResponse>> {
  return await locked(ctx, sandboxId, "PauseContainer", call, async (entry) => {
    if (permitsContainer(entry, containerId, "pause")) {
      const { containers } = await entry.agent.client({ signal: call.signal });
      await containers.pauseContainer({ containerId }, { signal: call.signal, timeoutMs: TIMEOUT_MS });
      entry.update((record) =>
        withContainer(record, containerId, (container) =>
          container.phase.kind === "running"
            ? { ...container, phase: { ...container.phase, kind: "paused" } }
            : container,
        ),
      );
    }
    return { container: shownContainer(entry, containerId) };
  });
}
