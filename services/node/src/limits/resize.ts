/**
 * Adjusts a VM and its limits on the host to what its containers are entitled to.
 *
 *     grow:    room for memory, cap, shares, CPUs ──> vCPUs and memory in
 *     shrink:  cap, shares, CPUs ──> vCPUs and memory out, as far as the guest gives them back ──> room for memory
 *
 * The limits on the host are never below what the guest has, and apply before the guest is asked for anything: a guest that does not
 * answer keeps its memory, but is limited to its new cap. Everything follows from the record, so a repeat, also after a crash, has the
 * same result.
 */
import { hostLimits, vcpuPins, wantedSize } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { demandsOf, entitled } from "../record/entitled.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { vmOverheadBytesOf } from "../record/vm-overhead.ts";
import { MAX_THREADS } from "../resources/cgroup.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { HostLimits, Machine, MachineSize } from "../vm/machine-port.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { useVcpus, vcpusInUse } from "../vm/vcpus.ts";

const SETTLE_PATIENCE_MS = 60_000;

export type ResizeOptions = {
  /** Containers that count; by default those of the record. Others when one is about to be added or changed. */
  readonly containers?: readonly ContainerRecord[];
  /** Whether the VM may only grow, as for a change that may still fail. */
  readonly growOnly?: boolean;
};

/** Does nothing without a VM. Throws NO_CAPACITY beyond the VM's maximum, before any change. Needs the lock. */
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
  // At once: a thread id may be reused.
  await ctx.cgroups.placeVcpus(id, threads);
  const has = believable(entry, {
    vcpus: await vcpusInUse(vm, threads.length, signal),
    memoryBytes: await machine.memoryBytes(signal),
  });
  const target = growOnly ? larger(has, wanted) : wanted;
  const limitsFor = (size: MachineSize): HostLimits => ({
    ...hostLimits(demands, {
      ...size,
      overheadBytes: vmOverheadBytesOf(ctx.vmOverheadBytes, entry.record.spec),
    }),
    pids: MAX_THREADS,
  });
  const most = larger(has, target);
  await ctx.cgroups.apply(id, limitsFor(most));
  const size = await bring(ctx, entry, vm, has, target, signal);
  if (!isSame(size, most)) await ctx.cgroups.apply(id, limitsFor(size));
  const limits = await ctx.cgroups.limits(id);
  const formerCpuset = vm.applied?.limits.cpuset;
  if (limits.cpuset !== formerCpuset) await machine.pinProcess(limits.cpuset ?? ctx.hostCpus, signal);
  const pins = vcpuPins(
    demands.map(({ cpusetCpus }) => cpusetCpus),
    size.vcpus,
  );
  await pin(ctx, machine, vm.applied?.pins, pins, size.vcpus, signal);
  if (entry.vm === vm) vm.applied = { size, wanted, limits, pins };
}

/** Pins that are no longer needed are replaced by all CPUs of the host; the cgroup restricts them to those of the sandbox. */
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

/** The size that the VM reports, which its guest may control, clamped to its possible range: its limits follow from it. */
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
 * Resizes when the lock is free, after changes without a call: a container has ended, a guest has released memory. Changes that
 * arrive together are handled together. Failures are logged, and the next change tries again.
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
      if (!vm.lifetime.aborted) entry.log.warn({ err: error }, "adjusting the limits of a sandbox failed");
    });
}
