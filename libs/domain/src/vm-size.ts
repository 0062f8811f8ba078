/**
 * How large a VM must be for its containers, at boot and while it runs.
 *
 * One rule serves both. vCPUs are the sum of quota/period, rounded up once. Memory is the sum of the limits plus the guest overhead.
 * Neither falls below the boot size. A size beyond the maximum is refused, never clipped. CPUs are counted as fractions, memory in
 * bytes.
 */
import { invalidField, PaddockError } from "./errors.ts";

export const MIB = 1024 * 1024;

/** The period of a CPU quota when none is given, in microseconds (kernel default of cfs_period_us). */
export const DEFAULT_PERIOD_US = 100_000;

/** Block size of plugged memory, in bytes (that of virtio-mem on x86). */
const MEMORY_BLOCK_BYTES = 2 * MIB;

/** What a container demands of its VM. An undefined, zero or negative value means no limit. */
export type ContainerDemand = {
  readonly cpuQuotaUs?: number | undefined;
  readonly cpuPeriodUs?: number | undefined;
  /** Relative share of a contended CPU; undefined counts as 1024. */
  readonly cpuShares?: number | undefined;
  /** CPUs of the host, such as "0-3,8"; undefined or empty means all. */
  readonly cpusetCpus?: string | undefined;
  readonly memoryBytes?: number | undefined;
  /** Sum of its huge page limits, which do not count in `memoryBytes`. */
  readonly hugepageBytes?: number | undefined;
};

export type VmSizeRequest = {
  /** Minimum vCPUs at boot; 0 means the node's default. */
  readonly vcpus: number;
  /** 0 means the node's limit. */
  readonly maxVcpus: number;
  /** Minimum memory at boot; 0 means the node's default. */
  readonly memoryBytes: number;
  /** 0 or undefined means the node's limit. */
  readonly maxMemoryBytes?: number | undefined;
  readonly containers: readonly ContainerDemand[];
};

export type VmSizeDefaults = {
  readonly vcpus: number;
  /** vCPUs a VM may grow to when its spec does not say. */
  readonly maxVcpus: number;
  /** The most vCPUs any VM may have. */
  readonly vcpuLimit: number;
  readonly memoryBytes: number;
  /** Memory a VM may grow to when its spec does not say; undefined means its boot size. */
  readonly maxMemoryBytes?: number | undefined;
  /** Memory for the guest's kernel and agent, in addition to the containers, in bytes. */
  readonly guestOverheadBytes: number;
};

/** The boot size of a VM, which is its minimum, and its maximum size. */
export type VmSize = {
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly memoryBytes: number;
  /** Undefined means the memory size is fixed. */
  readonly maxMemoryBytes?: number | undefined;
};

/** Sum of the containers' CPU quotas, in CPUs. Each quota is divided by its own period first, because periods differ. */
export function demandedCpus(containers: readonly ContainerDemand[]): number {
  let cpus = 0;
  for (const { cpuQuotaUs, cpuPeriodUs } of containers)
    if (cpuQuotaUs !== undefined && cpuQuotaUs > 0) cpus += cpuQuotaUs / (cpuPeriodUs || DEFAULT_PERIOD_US);
  return cpus;
}

/** Sum of the containers' memory and huge page limits, in bytes. A container without a limit counts as 0. */
export function demandedMemoryBytes(containers: readonly ContainerDemand[]): number {
  let bytes = 0;
  for (const { memoryBytes = 0, hugepageBytes = 0 } of containers)
    bytes += Math.max(0, memoryBytes) + Math.max(0, hugepageBytes);
  return bytes;
}

/**
 * Size of a VM at boot. The requested size is a minimum: containers that need more get more, up to the maximum. Throws NO_CAPACITY
 * when they need more than the maximum, and INVALID_FIELD when the requested boot size exceeds the requested maximum.
 */
export function vmSize(request: VmSizeRequest, defaults: VmSizeDefaults): VmSize {
  requireOrder("vcpus", request.vcpus, request.maxVcpus);
  requireOrder("memory_bytes", request.memoryBytes, request.maxMemoryBytes ?? 0);
  const { containers } = request;
  const vcpus = Math.max(request.vcpus || defaults.vcpus, wholeCpus(containers));
  const maxVcpus = request.maxVcpus || Math.max(defaults.maxVcpus, vcpus);
  requireVcpus(vcpus, maxVcpus, "lower the CPU quotas, or raise resources.max_vcpus");
  requireVcpus(maxVcpus, defaults.vcpuLimit, "ask for fewer, or raise the node's PADDOCK_MAX_VCPUS");
  const needed = neededMemoryBytes(containers, defaults.guestOverheadBytes);
  const memoryBytes = roundUp(Math.max(request.memoryBytes || defaults.memoryBytes, needed), MIB);
  const maxMemoryBytes =
    request.maxMemoryBytes || Math.max(memoryBytes, roundDown(defaults.maxMemoryBytes ?? 0, MIB));
  requireMemory(memoryBytes, maxMemoryBytes);
  return { vcpus, maxVcpus, memoryBytes, maxMemoryBytes };
}

/**
 * Size that the active containers need now in a VM that booted with `size`. At least the boot size; memory above it comes in whole
 * blocks of 2 MiB. Throws NO_CAPACITY when they need more than the maximum.
 */
export function wantedSize(
  containers: readonly ContainerDemand[],
  size: VmSize,
  guestOverheadBytes: number,
): { readonly vcpus: number; readonly memoryBytes: number } {
  const vcpus = Math.max(size.vcpus, wholeCpus(containers));
  requireVcpus(vcpus, size.maxVcpus, "lower the CPU quotas, or create the sandbox with more max_vcpus");
  const beyond = neededMemoryBytes(containers, guestOverheadBytes) - size.memoryBytes;
  if (beyond <= 0) return { vcpus, memoryBytes: size.memoryBytes };
  const memoryBytes = size.memoryBytes + roundUp(beyond, MEMORY_BLOCK_BYTES);
  requireMemory(memoryBytes, size.maxMemoryBytes ?? size.memoryBytes);
  return { vcpus, memoryBytes };
}

/** Rounds the sum up. A sum that exceeds a whole number only by floating-point error is that number. */
const wholeCpus = (containers: readonly ContainerDemand[]): number =>
  Math.ceil(demandedCpus(containers) - 1e-9);

function neededMemoryBytes(containers: readonly ContainerDemand[], guestOverheadBytes: number): number {
  const limits = demandedMemoryBytes(containers);
  return limits === 0 ? 0 : limits + guestOverheadBytes;
}

/** A `max` of 0 means not requested. */
function requireOrder(field: "vcpus" | "memory_bytes", atBoot: number, max: number): void {
  if (max === 0 || atBoot <= max) return;
  throw invalidField(
    `spec.resources.max_${field}`,
    `must be 0 or at least ${field}, ${atBoot}`,
    `max_${field} is ${max}, less than the ${field} of ${atBoot}`,
  );
}

function requireVcpus(needed: number, allowed: number, hint: string): void {
  if (needed > allowed)
    throw new PaddockError("NO_CAPACITY", `the VM needs ${needed} vCPUs and may have ${allowed}`, {
      metadata: { needed_vcpus: String(needed), max_vcpus: String(allowed) },
      hint,
    });
}

function requireMemory(needed: number, allowed: number): void {
  if (needed > allowed)
    throw new PaddockError("NO_CAPACITY", `the VM needs ${needed} bytes of memory and may have ${allowed}`, {
      metadata: { needed_bytes: String(needed), max_memory_bytes: String(allowed) },
      hint: "lower the memory limits, or create the sandbox with more max_memory_bytes",
    });
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
const roundDown = (value: number, unit: number): number => Math.floor(value / unit) * unit;
