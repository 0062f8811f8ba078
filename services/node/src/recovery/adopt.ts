import { alignVcpus } from "../lifecycle/pause-sandbox.ts";
import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { machineOf } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { watchGuest, watchMachine } from "../watch/supervise.ts";

/** Time for a guest to answer and update the states of its containers; a slower guest is waited for in the background. */
const GUEST_BUDGET_MS = 5000;
const MONITOR_BUDGET_MS = 5000;

/**
 * Takes over the VM of a sandbox whose record has one. Returns false when its process is gone. A VM that runs but does not
 * answer is kept: a slow VM is no reason to end a tenant's work.
 */
export async function adopt(ctx: NodeContext, entry: SandboxEntry): Promise<boolean> {
  const identity = machineOf(entry.record);
  if (identity === undefined) return false;
  const { vmPaths: paths, record } = entry;
  const machine = await ctx.machines.adopt(
    identity,
    { paths, uid: ctx.vmUidBase + record.vm.slot },
    AbortSignal.timeout(MONITOR_BUDGET_MS),
  );
  if (machine === undefined) return false;
  const vm = entry.attach(machine, ctx.openLink(paths.agentSocket, machine));
  watchMachine(ctx, entry, vm);
  await alignVcpus(entry).catch((error: unknown) => {
    entry.log.warn({ err: error }, "pausing or resuming the vCPUs of a VM that was taken over failed");
  });
  watchGuest(ctx, entry, vm);
  // An earlier daemon may have died between updating the record and applying the limits.
  resizeSoon(ctx, entry, vm);
  for (const { containerId } of entry.record.containers) ctx.logs.follow(entry, containerId);
  if (entry.record.phase.kind !== "paused")
    await vm.link.client({ deadlineMs: GUEST_BUDGET_MS }).catch((error: unknown) => {
      entry.log.warn({ err: error }, "took over a VM whose guest does not answer yet");
    });
  return true;
}
