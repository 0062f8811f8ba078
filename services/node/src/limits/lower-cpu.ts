import { hostLimits } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import type { Attachment, SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { demandsOf, entitled } from "./entitled.ts";

/**
 * Takes the CPU time and the shares of a container that has ended from its sandbox, without the lock: whoever holds it may do so for as
 * long as another container takes to stop. All else follows when the lock is free (`resizeSoon`), and so does this once more,
 * with what the holder has made of the sandbox meanwhile. One at a time for a sandbox; what fails is told in the log.
 */
export function lowerCpu(ctx: NodeContext, entry: SandboxEntry, attachment: Attachment): void {
  entry.cpuLowered = entry.cpuLowered
    .then(async () => {
      const { applied } = entry;
      if (applied === undefined || entry.attachment !== attachment) return;
      const vm = { ...applied.size, overheadBytes: ctx.vmOverheadBytes };
      const { cpu, cpuShares } = hostLimits(demandsOf(entitled(entry.record)), vm);
      await ctx.cgroups.applyCpu(entry.paths.name, { cpu, cpuShares });
      if (entry.applied === applied)
        entry.applied = { ...applied, limits: await ctx.cgroups.limits(entry.paths.name) };
    })
    .catch((error: unknown) => {
      if (!attachment.lifetime.aborted)
        ctx.log.warn({ sandbox: entry.sandboxId, err: error }, "the cap of a sandbox was not lowered");
    });
}
