import { alignVcpus } from "../lifecycle/pause-sandbox.ts";
import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { machineOf } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { watchGuest, watchMachine } from "../watch/supervise.ts";

/** A guest that answers has the states of its containers brought up to date within this; others are waited for in the background. */
const GUEST_BUDGET_MS = 5000;
const MONITOR_BUDGET_MS = 5000;

/**
 * Takes over the VM of a sandbox whose record says that there is one. False when its process is gone. A VM that runs but does
 * not answer is kept: a tenant's work is not ended for being slow.
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
    entry.log.warn({ err: error }, "the vCPUs of a VM that was taken over could not be set");
  });
  watchGuest(ctx, entry, vm);
  // An earlier daemon may have died between the record and the limits.
  resizeSoon(ctx, entry, vm);
  for (const { containerId } of entry.record.containers) ctx.logs.follow(entry, containerId);
  if (entry.record.phase.kind !== "paused")
    await vm.link.client({ deadlineMs: GUEST_BUDGET_MS }).catch((error: unknown) => {
      entry.log.warn({ err: error }, "a VM was taken over whose guest does not answer yet");
    });
  return true;
}
