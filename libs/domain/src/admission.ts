/**
 * Whether a host has room for a sandbox.
 *
 * CPUs are counted in thousandths, memory and disk in bytes. Memory is never overcommitted, because it cannot be taken back from
 * a VM. CPUs and disk may be overcommitted up to the factors that the operator sets: few sandboxes write all of their disks.
 */
import { PaddockError } from "./errors.ts";

/** An amount of each resource that a sandbox needs. */
export type Amount = { readonly milliCpus: number; readonly memoryBytes: number; readonly diskBytes: number };

export type HostRoom = {
  /** What the host can allocate in total. CPUs and disk are already multiplied by their overcommit factors. */
  readonly capacity: Amount;
  /** What is allocated already. */
  readonly allocated: Amount;
};

/** Throws NO_CAPACITY unless the host has the memory and CPUs for `demand`, and NO_DISK_SPACE unless it has the disk. */
export function admit(demand: Amount, host: HostRoom): void {
  const free = {
    milliCpus: host.capacity.milliCpus - host.allocated.milliCpus,
    memoryBytes: host.capacity.memoryBytes - host.allocated.memoryBytes,
  };
  if (demand.memoryBytes > free.memoryBytes)
    throw noCapacity("memory_bytes", demand.memoryBytes, Math.max(0, free.memoryBytes));
  if (demand.milliCpus > free.milliCpus)
    throw noCapacity("milli_cpus", demand.milliCpus, Math.max(0, free.milliCpus));
  admitDisk(demand.diskBytes, host);
}

/** Throws NO_DISK_SPACE unless the host can promise so many bytes of disk. */
export function admitDisk(bytes: number, { capacity, allocated }: HostRoom): void {
  const free = Math.max(0, capacity.diskBytes - allocated.diskBytes);
  if (bytes <= free) return;
  throw new PaddockError("NO_DISK_SPACE", `the node can promise ${free} bytes of disk, ${bytes} are needed`, {
    hint: "delete sandboxes, ask for smaller disks, or raise PADDOCK_DISK_OVERCOMMIT of the node",
    metadata: { resource: "disk_bytes", needed: String(bytes), free: String(free) },
    retryAfterMs: 5000,
  });
}

/** Throws NO_DISK_SPACE when the file system of the state directory has fewer free bytes than must stay free. */
export function requireDiskSpace(freeBytes: number, floorBytes: number): void {
  if (freeBytes >= floorBytes) return;
  const message = `the node's state directory has ${freeBytes} bytes free, the floor is ${floorBytes}`;
  throw new PaddockError("NO_DISK_SPACE", message, { hint: "delete images or stopped sandboxes" });
}

function noCapacity(what: string, needed: number, free: number): PaddockError {
  return new PaddockError("NO_CAPACITY", `the node has ${free} ${what} free, the sandbox needs ${needed}`, {
    metadata: { resource: what, needed: String(needed), free: String(free) },
    retryAfterMs: 5000,
  });
}
