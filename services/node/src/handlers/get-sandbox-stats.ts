import type { GetSandboxStatsRequest, GetSandboxStatsResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { readSandboxStats } from "../stats/sandbox-stats.ts";
import type { Answer } from "./answer.ts";
import { type Call, permits } from "./call.ts";

/** What the host counted, always; what the guest says, when it answers. A paused guest cannot. */
export async function getSandboxStats(
  ctx: NodeContext,
  { sandboxId }: GetSandboxStatsRequest,
  call: Call,
): Promise<Answer<GetSandboxStatsResponse>> {
  const entry = ctx.sandboxes.require(sandboxId);
  permits(entry, "stats");
  const { silence, stats } = await readSandboxStats(ctx, entry, call.signal);
  if (silence !== undefined)
    ctx.log.debug({ sandbox: sandboxId, err: silence }, "a guest did not tell its figures");
  return { stats };
}
