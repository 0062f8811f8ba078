import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { freezeContainer } from "../containers/freeze-container.ts";
import { locked, permitsContainer, shownContainer } from "./call.ts";

export const resumeContainer = command(
  ContainerService.method.resumeContainer,
  (ctx, { sandboxId, containerId }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      if (permitsContainer(entry, containerId, "resume"))
        await freezeContainer(ctx, entry, { containerId, wanted: "running", signal: call.signal });
      return { container: shownContainer(entry, containerId) };
    }),
);
