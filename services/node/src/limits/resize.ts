/**
 * Brings a VM and its limits on the host to what its containers are entitled to.
 *
 *     grow:    room for memory, cap, shares, CPUs ──> vCPUs and memory in
 *     shrink:  cap, shares, CPUs ──> vCPUs and memory out, as far as the guest gives them back ──> room for memory
 *
 * The limits on the host are never below what the guest has, and in force before the guest is asked for anything: a guest that
 * does not answer keeps its memory and is held to its new cap all the same. Everything follows from the record, so doing it
 * twice, or after a crash, ends in the same.
 */
import { hostLimits, vcpuPins, wantedSize } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { demandsOf, entitled } from "../record/entitled.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { MAX_THREADS } from "../resources/cgroup.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { HostLimits, Machine, MachineSize } from "../vm/machine-port.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { useVcpus, vcpusInUse } from "../vm/vcpus.ts";

const SETTLE_PATIENCE_MS = 60_000;

export type ResizeOptions = {
  /** Containers that count; those of the record unless one is about to come or to change. */
  readonly containers?: readonly ContainerRecord[];
  /** Whether the VM may grow alone, as for a change that may still fail. */
  readonly growOnly?: boolean;
};

/** Does nothing without a VM. Throws NO_CAPACITY beyond the VM's maximum, before anything is touched. Needs the lock. */
export async function resize(
  ctx: NodeContext,
  entry: SandboxEntry,
  signal: AbortSignal,
  { containers = entitled(entry.record), growOnly = false }: ResizeOptions = {},
): Promise<void> {
  const { vm } = entry;
  if (vm === undefined) return;
  const demands = demandsOf(containers);
  const wanted = wantedSize(demands, entry.record.size, ctx.sizeDefaults.guestOverheadBytes);
  const { machine } = vm;
  const { id } = entry.record.vm;
  const threads = await machine.vcpuThreads(signal);
  // At once: a thread's number may become another's.
  await ctx.cgroups.placeVcpus(id, threads);
  const has = believable(entry, {
    vcpus: await vcpusInUse(vm, threads.length, signal),
    memoryBytes: await machine.memoryBytes(signal),
  });
  const target = growOnly ? larger(has, wanted) : wanted;
  const limitsFor = (size: MachineSize): HostLimits => ({
    ...hostLimits(demands, { ...size, overheadBytes: ctx.vmOverheadBytes }),
    pids: MAX_THREADS,
  });
  const most = larger(has, target);
  await ctx.cgroups.apply(id, limitsFor(most));
  const size = await bring(ctx, entry, vm, has, target, signal);
  if (!isSame(size, most)) await ctx.cgroups.apply(id, limitsFor(size));
  const limits = await ctx.cgroups.limits(id);
  const formerCpuset = vm.applied?.limits.cpuset;
  if (limits.cpuset !== formerCpuset) await machine.holdTo(limits.cpuset ?? ctx.hostCpus, signal);
  const pins = vcpuPins(
    demands.map(({ cpusetCpus }) => cpusetCpus),
    size.vcpus,
  );
  await pin(ctx, machine, vm.applied?.pins, pins, size.vcpus, signal);
  if (entry.vm === vm) vm.applied = { size, wanted, limits, pins };
}

/** Pins that are no more needed are lifted by all CPUs of the host; the cgroup keeps to those of the sandbox. */
async function pin(
  ctx: NodeContext,
  machine: Machine,
  former: readonly string[] | undefined,
  pins: readonly string[] | undefined,
  vcpus: number,
  signal: AbortSignal,
): Promise<void> {
  if (pins === undefined && former === undefined) return;
  await machine.pinVcpus(pins ?? Array.from({ length: vcpus }, () => ctx.hostCpus), signal);
}

const isSame = (a: MachineSize, b: MachineSize): boolean =>
  a.vcpus === b.vcpus && a.memoryBytes === b.memoryBytes;

async function bring(
  ctx: NodeContext,
  entry: SandboxEntry,
  vm: RunningVm,
  has: MachineSize,
  target: MachineSize,
  signal: AbortSignal,
): Promise<MachineSize> {
  const { machine } = vm;
  const vcpus = target.vcpus === has.vcpus ? has.vcpus : await useVcpus(vm, has.vcpus, target.vcpus, signal);
  if (machine.vcpuControl === "plug" && vcpus !== has.vcpus)
    await ctx.cgroups.placeVcpus(entry.record.vm.id, await machine.vcpuThreads(signal));
  const memoryBytes =
    target.memoryBytes === has.memoryBytes
      ? has.memoryBytes
      : await machine.setMemory(target.memoryBytes, signal);
  return believable(entry, { vcpus, memoryBytes });
}

/** What the VM says of its size, which its guest may have in its hands, within what it can have: its limits follow from it. */
function believable({ record: { size } }: SandboxEntry, told: MachineSize): MachineSize {
  const within = (value: number, least: number, most: number) =>
    Math.min(Math.max(Math.trunc(value), least), most);
  const { memoryBytes, maxMemoryBytes = memoryBytes } = size;
  return {
    vcpus: within(told.vcpus, 1, size.maxVcpus),
    memoryBytes: within(told.memoryBytes, memoryBytes, Math.max(memoryBytes, maxMemoryBytes)),
  };
}

const larger = (a: MachineSize, b: MachineSize): MachineSize => ({
  vcpus: Math.max(a.vcpus, b.vcpus),
  memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
});

/**
 * The same when the lock is free, for changes that come by themselves: a container has ended, a guest has given memory back.
 * Changes that come together are settled together. What fails is told in the log, and tried again with the next change.
 */
export function resizeSoon(ctx: NodeContext, entry: SandboxEntry, vm: RunningVm): void {
  if (vm.resizePending || vm.lifetime.aborted) return;
  vm.resizePending = true;
  const signal = AbortSignal.any([vm.lifetime, AbortSignal.timeout(SETTLE_PATIENCE_MS)]);
  void ctx.lock
    .with(entry.sandboxId, { name: "adjust limits", signal }, async () => {
      vm.resizePending = false;
      const { kind } = entry.record.phase;
      if (entry.vm === vm && (kind === "ready" || kind === "running")) await resize(ctx, entry, signal);
    })
    .catch((error: unknown) => {
      vm.resizePending = false;
      if (!vm.lifetime.aborted) entry.log.warn({ err: error }, "the limits of a sandbox were not adjusted");
    });
}
