import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { processEntries } from "../stats/process-entry.ts";
import { guestOf, permitsContainer } from "./call.ts";

export const listProcesses = command(
  ContainerService.method.listProcesses,
  async (ctx, { sandboxId, containerId }, call) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permitsContainer(entry, containerId, "list_processes");
    const { containers } = await guestOf(entry, call);
    const { processes } = await containers.listProcesses({ containerId }, { signal: call.signal });
    return { processes: processEntries(processes) };
  },
);
