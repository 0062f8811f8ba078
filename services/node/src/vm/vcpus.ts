/**
 * The number of vCPUs that a guest uses, and how it changes: either they are plugged in and out, or all exist and the guest is
 * told how many to use. The guest's word is enough: the cap, which counts all vCPUs, limits what it can take from its host.
 */
import type { RunningVm } from "./running-vm.ts";

/** A guest that was taken over is asked for its number; the lock is held meanwhile. */
const ASK_TIMEOUT_MS = 2000;
/** Bringing a CPU online takes 0.1 s under emulation when the guest is busy. */
const CHANGE_TIMEOUT_MS = 10_000;

/** The number of vCPUs in use, at most `existing`; a guest that does not answer may use all. */
export async function vcpusInUse(vm: RunningVm, existing: number, signal: AbortSignal): Promise<number> {
  if (vm.machine.vcpuControl === "plug") return existing;
  vm.vcpusInUse ??= await ask(vm, signal);
  return Math.min(vm.vcpusInUse ?? existing, existing);
}

async function ask({ link }: RunningVm, signal: AbortSignal): Promise<number | undefined> {
  try {
    const { sandbox } = await link.client({ signal, deadlineMs: ASK_TIMEOUT_MS });
    const { guest } = await sandbox.getGuest({}, { signal, timeoutMs: ASK_TIMEOUT_MS });
    return guest?.onlineCpus || undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** Makes the guest use `vcpus`. Returns the number in use, which is `before` when the guest does not answer. */
export async function useVcpus(
  vm: RunningVm,
  before: number,
  vcpus: number,
  signal: AbortSignal,
): Promise<number> {
  const { machine, link } = vm;
  if (machine.vcpuControl === "plug") return await machine.setVcpus(vcpus, signal);
  try {
    const { sandbox } = await link.client({ signal, deadlineMs: ASK_TIMEOUT_MS });
    const { onlineCpus } = await sandbox.setOnlineCpus(
      { cpus: vcpus },
      { signal, timeoutMs: CHANGE_TIMEOUT_MS },
    );
    vm.vcpusInUse = onlineCpus || before;
  } catch {
    signal.throwIfAborted();
    // It may have changed some: the next call asks.
    vm.vcpusInUse = undefined;
  }
  return vm.vcpusInUse ?? before;
}
