import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { containerOfRecord } from "../wire/sandbox-status.ts";
import { requireContainer } from "./call.ts";

/** Answers from the published snapshot, even while a call changes the sandbox. */
export const getContainer = command(
  ContainerService.method.getContainer,
  (ctx, { sandboxId, containerId }) => {
    const entry = ctx.sandboxes.require(sandboxId);
    return { container: containerOfRecord(entry.record, requireContainer(entry, containerId), ctx.nodeId) };
  },
);
