import { PaddockError } from "@paddock/domain";
import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { endContainers, endUnstarted } from "../containers/end-containers.ts";
import { locked, permitsContainer, requireContainer, shownContainer } from "./call.ts";
import { graceOf } from "./grace.ts";

export const stopContainer = command(
  ContainerService.method.stopContainer,
  (ctx, { sandboxId, containerId, grace }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      if (permitsContainer(entry, containerId, "stop")) {
        const graceMs = graceOf(grace, call.deadline, ctx.nowMs());
        const { kind } = requireContainer(entry, containerId).phase;
        const ended =
          kind === "ready"
            ? await endUnstarted(entry, containerId)
            : await endContainers(entry, [containerId], graceMs);
        if (!ended)
          throw new PaddockError(
            "GUEST_UNAVAILABLE",
            `the guest did not report the end of container ${containerId}`,
            {
              hint: "the guest may hang; StopSandbox with force does not need the guest",
            },
          );
      }
      return { container: shownContainer(entry, containerId) };
    }),
);
