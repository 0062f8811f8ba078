import { hostLimits } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { demandsOf, entitled } from "../record/entitled.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";

/**
 * Takes the CPU time and the shares of a container that has ended from its sandbox, without the lock: whoever holds it may do so for as
 * long as another container takes to stop. All else follows when the lock is free (`resizeSoon`), and so does this once more,
 * with what the holder has made of the sandbox meanwhile. One at a time for a sandbox; what fails is told in the log.
 */
export function lowerCpu(ctx: NodeContext, entry: SandboxEntry, vm: RunningVm): void {
  vm.cpuLowered = vm.cpuLowered
    .then(async () => {
      const { applied } = vm;
      if (applied === undefined || entry.vm !== vm) return;
      const size = { ...applied.size, overheadBytes: ctx.vmOverheadBytes };
      const { cpu, cpuShares } = hostLimits(demandsOf(entitled(entry.record)), size);
      await ctx.cgroups.applyCpu(entry.record.vm.id, { cpu, cpuShares });
      if (vm.applied === applied)
        vm.applied = { ...applied, limits: await ctx.cgroups.limits(entry.record.vm.id) };
    })
    .catch((error: unknown) => {
      if (!vm.lifetime.aborted) entry.log.warn({ err: error }, "the cap of a sandbox was not lowered");
    });
}
