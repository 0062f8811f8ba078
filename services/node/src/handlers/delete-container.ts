import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { deleteContainerEntry } from "../lifecycle/delete-container.ts";
import { locked, permitsContainer, requireContainer } from "./call.ts";

export const deleteContainer = command(
  ContainerService.method.deleteContainer,
  (ctx, { sandboxId, containerId, force }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      permitsContainer(entry, containerId, force ? "force_delete" : "delete");
      await deleteContainerEntry(ctx, entry, requireContainer(entry, containerId), call);
      return {};
    }),
);
