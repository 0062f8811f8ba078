import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { freezeContainer } from "../containers/freeze-container.ts";
import { locked, permitsContainer, shownContainer } from "./call.ts";

export const pauseContainer = command(
  ContainerService.method.pauseContainer,
  (ctx, { sandboxId, containerId }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      if (permitsContainer(entry, containerId, "pause"))
        await freezeContainer(ctx, entry, { containerId, wanted: "paused", signal: call.signal });
      return { container: shownContainer(entry, containerId) };
    }),
);
