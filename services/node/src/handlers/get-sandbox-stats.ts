import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { readSandboxStats } from "../stats/sandbox-stats.ts";
import { permits } from "./call.ts";

/** The host's figures, and the guest's when it answers. A paused guest does not. */
export const getSandboxStats = command(
  SandboxService.method.getSandboxStats,
  async (ctx, { sandboxId }, { signal }) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permits(entry, "stats");
    const { silence, stats } = await readSandboxStats(ctx, entry, signal);
    if (silence !== undefined) entry.log.debug({ err: silence }, "the guest's figures could not be read");
    return { stats };
  },
);
