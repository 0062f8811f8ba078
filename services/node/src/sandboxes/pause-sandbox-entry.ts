/**
 * Stops a VM's vCPUs and lets them go on.
 *
 * The guest is silent in between: its link stays, its streams wait, and no timer counts against it. Containers keep what they
 * are; one that was paused by itself is paused afterwards too.
 */
import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { configureGuest } from "./configure-guest.ts";
import type { Attachment, SandboxEntry } from "./sandbox-entry.ts";

/** QEMU answers at once; a client that leaves must not leave the VM in another state than the record's. */
const MONITOR_TIMEOUT_MS = 5000;
/** How long the guest may take to set its clock. */
const CLOCK_PATIENCE_MS = 10_000;

/** Needs the lock and a running sandbox. */
export async function pauseSandboxEntry(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  const { machine } = attached(entry);
  try {
    await machine.pause(AbortSignal.timeout(MONITOR_TIMEOUT_MS));
  } catch (error) {
    // It may have been obeyed all the same, and the record says that the sandbox runs.
    await machine.resume(AbortSignal.timeout(MONITOR_TIMEOUT_MS)).catch((again: unknown) => {
      ctx.log.error({ sandbox: entry.sandboxId, err: again }, "a VM whose pause failed could not be resumed");
    });
    throw error;
  }
  entry.update((record) =>
    record.phase.kind === "running" ? { ...record, phase: { ...record.phase, kind: "paused" } } : record,
  );
}

/**
 * Needs the lock and a paused sandbox. A guest that does not take the time in time is told of in the log: the sandbox runs
 * again, which is what was asked for.
 */
export async function resumeSandboxEntry(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  const attachment = attached(entry);
  await attachment.machine.resume(AbortSignal.timeout(MONITOR_TIMEOUT_MS));
  entry.update((record) =>
    record.phase.kind === "paused" ? { ...record, phase: { ...record.phase, kind: "running" } } : record,
  );
  await catchUp(ctx, entry, attachment);
}

/** Gives a guest whose vCPUs were stopped the time, and the VM what it is entitled to now. Never throws. */
export async function catchUp(ctx: NodeContext, entry: SandboxEntry, attachment: Attachment): Promise<void> {
  try {
    const client = await attachment.link.client({ deadlineMs: CLOCK_PATIENCE_MS });
    await configureGuest(client, entry.record, ctx.nowMs(), AbortSignal.timeout(CLOCK_PATIENCE_MS));
  } catch (error) {
    ctx.log.warn({ sandbox: entry.sandboxId, err: error }, "a resumed guest did not set its clock");
  }
  if (entry.attachment === attachment) resizeSoon(ctx, entry, attachment);
}

/**
 * Makes the vCPUs of a VM that was taken over do what the record says: a daemon may have died between the one and the other.
 */
export async function alignVcpus(entry: SandboxEntry): Promise<void> {
  const { machine } = attached(entry);
  const signal = AbortSignal.timeout(MONITOR_TIMEOUT_MS);
  await (entry.record.phase.kind === "paused" ? machine.pause(signal) : machine.resume(signal));
}

function attached(entry: SandboxEntry): Attachment {
  const { attachment } = entry;
  if (attachment === undefined) throw entry.lost;
  return attachment;
}
