import type { GetContainerStatsRequest, GetContainerStatsResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { readContainerStats } from "../stats/container-stats.ts";
import type { Answer } from "./answer.ts";
import { type Call, permitsContainer } from "./call.ts";

export async function getContainerStats(
  ctx: NodeContext,
  { sandboxId, containerId }: GetContainerStatsRequest,
  call: Call,
): Promise<Answer<GetContainerStatsResponse>> {
  const entry = ctx.sandboxes.require(sandboxId);
  permitsContainer(entry, containerId, "stats");
  return { stats: await readContainerStats(entry, containerId, call.signal) };
}
