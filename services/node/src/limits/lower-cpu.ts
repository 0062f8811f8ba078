import { hostLimits } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { demandsOf, entitled } from "../record/entitled.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";

/**
 * Takes the CPU time and shares of an ended container from its sandbox, without the lock, whose holder may wait for as long as
 * another container takes to stop. The other limits follow when the lock is free (`resizeSoon`), and CPU time and shares once
 * more, with the holder's changes. One run at a time for a sandbox; failures are only logged.
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
      if (!vm.lifetime.aborted) entry.log.warn({ err: error }, "lowering the CPU cap of a sandbox failed");
    });
}
