/**
 * Stops a VM's vCPUs and lets them go on.
 *
 * The guest is silent in between: its link stays, its streams wait, and no timer counts against it. Containers keep what they
 * are; one that was paused by itself is paused afterwards too.
 */
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { catchUp } from "../watch/catch-up.ts";

/** QEMU answers at once; a client that leaves must not leave the VM in another state than the record's. */
const MONITOR_TIMEOUT_MS = 5000;

/** Needs the lock and a running sandbox. */
export async function pauseSandboxEntry(entry: SandboxEntry): Promise<void> {
  const { machine } = attached(entry);
  try {
    await machine.pause(AbortSignal.timeout(MONITOR_TIMEOUT_MS));
  } catch (error) {
    // It may have been obeyed all the same, and the record says that the sandbox runs.
    await machine.resume(AbortSignal.timeout(MONITOR_TIMEOUT_MS)).catch((again: unknown) => {
      entry.log.error({ err: again }, "a VM whose pause failed could not be resumed");
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
  const vm = attached(entry);
  await vm.machine.resume(AbortSignal.timeout(MONITOR_TIMEOUT_MS));
  entry.update((record) =>
    record.phase.kind === "paused" ? { ...record, phase: { ...record.phase, kind: "running" } } : record,
  );
  await catchUp(ctx, entry, vm);
}

/**
 * Makes the vCPUs of a VM that was taken over do what the record says: a daemon may have died between the one and the other.
 */
export async function alignVcpus(entry: SandboxEntry): Promise<void> {
  const { machine } = attached(entry);
  const signal = AbortSignal.timeout(MONITOR_TIMEOUT_MS);
  await (entry.record.phase.kind === "paused" ? machine.pause(signal) : machine.resume(signal));
}

function attached(entry: SandboxEntry): RunningVm {
  const { vm } = entry;
  if (vm === undefined) throw entry.lost;
  return vm;
}
