/**
 * Whether a host has room: sizes of VMs and what a host may promise, as arithmetic.
 *
 * CPUs are counted in thousandths, memory and disk in bytes. Memory is never promised twice (a VM's memory cannot be taken back),
 * CPUs may be, by a factor the operator chooses.
 */
import { PaddockError } from "./errors.ts";

export const MIB = 1024 * 1024;

/** The period of a CPU quota when none is given, in microseconds (kernel default of cfs_period_us). */
const DEFAULT_PERIOD_US = 100_000;

/** What a container asks of its VM. A limit that is undefined or negative is none. */
export type ContainerDemand = {
  readonly cpuQuotaUs?: number | undefined;
  readonly cpuPeriodUs?: number | undefined;
  readonly memoryBytes?: number | undefined;
};

export type VmSizeRequest = {
  /** 0 means: what the containers need. */
  readonly vcpus: number;
  /** 0 means: the node's limit. */
  readonly maxVcpus: number;
  /** 0 means: what the containers need. */
  readonly memoryBytes: number;
  readonly containers: readonly ContainerDemand[];
};

export type VmSizeDefaults = {
  readonly vcpus: number;
  /** vCPUs a VM may grow to unless its spec says so. */
  readonly maxVcpus: number;
  /** vCPUs that no VM may have more of. */
  readonly vcpuLimit: number;
  readonly memoryBytes: number;
  /** What the guest's kernel and agent need beside the containers, in bytes. */
  readonly guestOverheadBytes: number;
};

export type VmSize = { readonly vcpus: number; readonly maxVcpus: number; readonly memoryBytes: number };

/** CPUs that the containers' quotas amount to; each ratio is taken before the sum, as periods differ. */
export function demandedCpus(containers: readonly ContainerDemand[]): number {
  let cpus = 0;
  for (const { cpuQuotaUs, cpuPeriodUs } of containers)
    if (cpuQuotaUs !== undefined && cpuQuotaUs > 0) cpus += cpuQuotaUs / (cpuPeriodUs ?? DEFAULT_PERIOD_US);
  return cpus;
}

/** Sum of the containers' memory limits, in bytes; containers without one count nothing. */
export function demandedMemoryBytes(containers: readonly ContainerDemand[]): number {
  let bytes = 0;
  for (const { memoryBytes } of containers)
    if (memoryBytes !== undefined && memoryBytes > 0) bytes += memoryBytes;
  return bytes;
}

/**
 * Size of a VM at boot. Throws NO_CAPACITY when the containers need more than the VM may have.
 * Rule: vCPUs = ceil(sum of quota/period), at least the default; an excess is an error, never a clip.
 */
export function vmSize(request: VmSizeRequest, defaults: VmSizeDefaults): VmSize {
  const needed = Math.max(defaults.vcpus, Math.ceil(demandedCpus(request.containers)));
  const vcpus = request.vcpus || needed;
  const maxVcpus = request.maxVcpus || Math.max(defaults.maxVcpus, vcpus);
  if (vcpus > maxVcpus)
    throw tooManyVcpus(vcpus, maxVcpus, "lower the CPU quotas, or raise resources.max_vcpus");
  if (maxVcpus > defaults.vcpuLimit)
    throw tooManyVcpus(maxVcpus, defaults.vcpuLimit, "ask for fewer, or raise the node's PADDOCK_MAX_VCPUS");
  const limits = demandedMemoryBytes(request.containers);
  const memoryBytes =
    request.memoryBytes ||
    roundUp(Math.max(defaults.memoryBytes, limits === 0 ? 0 : limits + defaults.guestOverheadBytes), MIB);
  const size = { vcpus, maxVcpus, memoryBytes };
  requireFits(request.containers, size);
  return size;
}

function tooManyVcpus(needed: number, allowed: number, hint: string): PaddockError {
  return new PaddockError("NO_CAPACITY", `the VM needs ${needed} vCPUs and may have ${allowed}`, {
    metadata: { needed_vcpus: String(needed), max_vcpus: String(allowed) },
    hint,
  });
}

/** Throws NO_CAPACITY when the limits of all `containers` of a VM together are beyond its size. */
export function requireFits(containers: readonly ContainerDemand[], size: VmSize): void {
  const cpus = demandedCpus(containers);
  if (Math.ceil(cpus) > size.vcpus)
    throw new PaddockError(
      "NO_CAPACITY",
      `the containers' CPU quotas are ${cpus} CPUs, the VM has ${size.vcpus}`,
      {
        metadata: { demanded_cpus: String(cpus), vcpus: String(size.vcpus) },
        hint: "create the sandbox with more resources.vcpus",
      },
    );
  const bytes = demandedMemoryBytes(containers);
  if (bytes > size.memoryBytes)
    throw new PaddockError(
      "NO_CAPACITY",
      `the containers' memory limits are ${bytes} bytes, the VM has ${size.memoryBytes}`,
      {
        metadata: { demanded_bytes: String(bytes), memory_bytes: String(size.memoryBytes) },
        hint: "create the sandbox with more resources.memory_bytes",
      },
    );
}

/** An amount of what sandboxes need. */
export type Amount = { readonly milliCpus: number; readonly memoryBytes: number; readonly diskBytes: number };

export type HostRoom = {
  /** What the host may promise in all. CPUs already multiplied by the overcommit factor. */
  readonly capacity: Amount;
  /** What it has promised. */
  readonly allocated: Amount;
  /** Free bytes of the state directory's file system. */
  readonly freeDiskBytes: number;
  /** Bytes of it that stay free whatever is asked. */
  readonly diskFloorBytes: number;
};

/** Throws NO_CAPACITY or NO_DISK_SPACE unless the host has room for `demand`. */
export function admit(demand: Amount, host: HostRoom): void {
  const free = {
    milliCpus: host.capacity.milliCpus - host.allocated.milliCpus,
    memoryBytes: host.capacity.memoryBytes - host.allocated.memoryBytes,
  };
  if (demand.memoryBytes > free.memoryBytes)
    throw noCapacity("memory_bytes", demand.memoryBytes, Math.max(0, free.memoryBytes));
  if (demand.milliCpus > free.milliCpus)
    throw noCapacity("milli_cpus", demand.milliCpus, Math.max(0, free.milliCpus));
  if (host.freeDiskBytes < host.diskFloorBytes)
    throw new PaddockError(
      "NO_DISK_SPACE",
      `the node's state directory has ${host.freeDiskBytes} bytes free, the floor is ${host.diskFloorBytes}`,
      { hint: "delete images or stopped sandboxes" },
    );
}

function noCapacity(what: string, needed: number, free: number): PaddockError {
  return new PaddockError("NO_CAPACITY", `the node has ${free} ${what} free, the sandbox needs ${needed}`, {
    metadata: { resource: what, needed: String(needed), free: String(free) },
    retryAfterMs: 5000,
  });
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
