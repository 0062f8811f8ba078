import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { alignVcpus } from "./pause-sandbox-entry.ts";
import type { SandboxEntry } from "./sandbox-entry.ts";
import { machineOf } from "./sandbox-record.ts";
import { watchGuest, watchMachine } from "./supervise.ts";

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
  const { paths, sandboxId } = entry;
  const machine = await ctx.machines.adopt(
    identity,
    { name: paths.name, paths, uid: ctx.vmUidBase + entry.record.slot },
    AbortSignal.timeout(MONITOR_BUDGET_MS),
  );
  if (machine === undefined) return false;
  const attachment = entry.attach(machine, ctx.openLink(paths.agentSocket));
  watchMachine(ctx, entry, attachment);
  await alignVcpus(entry).catch((error: unknown) => {
    ctx.log.warn(
      { sandbox: sandboxId, err: error },
      "the vCPUs of a VM that was taken over could not be set",
    );
  });
  watchGuest(ctx, entry, attachment);
  // An earlier daemon may have died between the record and the limits.
  resizeSoon(ctx, entry, attachment);
  for (const { containerId } of entry.record.containers) ctx.logs.follow(entry, containerId);
  if (entry.record.phase.kind !== "paused")
    await attachment.link.client({ deadlineMs: GUEST_BUDGET_MS }).catch((error: unknown) => {
      ctx.log.warn({ sandbox: sandboxId, err: error }, "a VM was taken over whose guest does not answer yet");
    });
  return true;
}
