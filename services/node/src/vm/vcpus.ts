/**
 * How many vCPUs a guest uses, and how it comes to use another number: they are plugged in and out, or all are there and the guest is
 * told. A guest that is told is believed: what it may take of its host is for the cap, which counts all of them.
 */
import type { RunningVm } from "./running-vm.ts";

/** One that was taken over is asked what it uses; the lock is held meanwhile. */
const ASK_TIMEOUT_MS = 2000;
/** Bringing a CPU online takes 0.1 s under emulation when the guest is busy. */
const CHANGE_TIMEOUT_MS = 10_000;

/** Those in use of the `existing` ones; a guest that does not answer may use all. */
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

/** Lets the guest use `vcpus`; answers how many it uses: `before` when it does not answer. */
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
    // It may have changed some: whoever comes next asks.
    vm.vcpusInUse = undefined;
  }
  return vm.vcpusInUse ?? before;
}
