import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { readContainerStats } from "../stats/container-stats.ts";
import { permitsContainer } from "./call.ts";

export const getContainerStats = command(
  ContainerService.method.getContainerStats,
  async (ctx, { sandboxId, containerId }, { signal }) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permitsContainer(entry, containerId, "stats");
    return { stats: await readContainerStats(entry, containerId, signal) };
  },
);
