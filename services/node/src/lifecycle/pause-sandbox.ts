/**
 * Pauses and resumes a VM's vCPUs.
 *
 * A paused guest is silent: its link stays open, its streams wait, and no timeout applies to it. Containers keep their state; a
 * container that was paused itself stays paused after the resume.
 */
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { catchUp } from "../watch/catch-up.ts";

/** QEMU answers at once. A client that leaves must not leave the VM in another state than the record's. */
const MONITOR_TIMEOUT_MS = 5000;

/** Needs the lock and a running sandbox. */
export async function pauseSandboxEntry(entry: SandboxEntry): Promise<void> {
  const { machine } = attached(entry);
  try {
    await machine.pause(AbortSignal.timeout(MONITOR_TIMEOUT_MS));
  } catch (error) {
    // QEMU may have paused the VM all the same, and the record says that it runs.
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
 * Needs the lock and a paused sandbox. A guest that does not set its clock in time is only logged: the sandbox runs again, as
 * requested.
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
 * Pauses or resumes the vCPUs of a VM that was taken over, according to the record: a daemon may have died between pausing the
 * VM and recording it.
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
