/**
 * Figures of a container, from the guest's cgroup. The tenant controls them, so accounting does not use them.
 */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type agentpb, type ContainerStats, ContainerStatsSchema, DiskRole } from "@paddock/protocol";
import { guestText } from "../agent/guest-text.ts";
import { containerDisks } from "../record/container-disks.ts";
import { containerOf } from "../record/sandbox-record.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { guestTime } from "../wire/guest-time.ts";
import { guestFigures } from "./guest-figures.ts";

/** The most devices shown of a container; a guest may report any number. */
const MAX_DEVICES = 256;
const MAX_PAGE_SIZES = 4;
const MAX_INTERFACES = 64;
const MAX_MEMORY_FIGURES = 128;

/** Reads a container's figures. Throws CONTAINER_NOT_FOUND, GUEST_UNAVAILABLE, DEADLINE, or the signal's reason. */
export async function readContainerStats(
  sandbox: Pick<LiveSandbox, "agent" | "record">,
  containerId: string,
  signal: AbortSignal,
): Promise<ContainerStats> {
  const figures = await guestFigures(sandbox.agent).container(containerId, signal);
  const container = containerOf(sandbox.record, containerId);
  return containerStats(containerId, figures, container && containerDisks(container));
}

/** Targets of a container's disks. */
type Disks = { readonly lower: Target; readonly upper: Target | undefined };
type Target = { readonly target: number };

/** The guest's figures as shown to clients. */
export function containerStats(
  containerId: string,
  told: agentpb.GetContainerStatsResponse,
  disks?: Disks,
): ContainerStats {
  const { time, cpu, memory, pids, io, hugepages, network } = told;
  const readAt = guestTime(time);
  return create(ContainerStatsSchema, {
    containerId,
    ...(readAt && { time: readAt }),
    ...(cpu && { cpu: plain(cpu) }),
    ...(memory && { memory: memoryStats(memory) }),
    ...(pids && { pids: { ...plain(pids), limit: limitOf(pids.limit) } }),
    io: io.slice(0, MAX_DEVICES).map((device) => ioStats(device, disks)),
    hugepages: hugepages
      .slice(0, MAX_PAGE_SIZES)
      .map((each) => ({ ...plain(each), limitBytes: limitOf(each.limitBytes) })),
    network: network
      .slice(0, MAX_INTERFACES)
      .map((each) => ({ ...plain(each), name: guestText(each.name).slice(0, 15) })),
    source: "guest cgroup2",
  });
}

function ioStats({ target, ...figures }: agentpb.IoStats, disks: Disks | undefined) {
  return { ...plain(figures), role: roleOf(target, disks) };
}

function roleOf(target: number | undefined, disks: Disks | undefined): DiskRole {
  if (target !== undefined && target === disks?.lower.target) return DiskRole.IMAGE;
  if (target !== undefined && target === disks?.upper?.target) return DiskRole.WRITABLE_LAYER;
  return DiskRole.UNSPECIFIED;
}

type CpuReading = {
  readonly time?: Timestamp | undefined;
  readonly cpu?: { readonly usageUs: bigint } | undefined;
};

/**
 * CPU used between two readings, in percent of one CPU. 0 without an earlier reading, or if the figures contradict each other:
 * after a stop and a start, a sandbox counts from zero again.
 */
export function cpuPercent(before: CpuReading | undefined, now: CpuReading | undefined): number {
  if (!before?.time || !before.cpu || !now?.time || !now.cpu) return 0;
  const elapsedMs = timestampMs(now.time) - timestampMs(before.time);
  const usedUs = Number(now.cpu.usageUs - before.cpu.usageUs);
  return elapsedMs > 0 && usedUs > 0 ? usedUs / 10 / elapsedMs : 0;
}

/** The working set: the usage without inactive page cache. */
function memoryStats({ inactiveFileBytes, stat, ...memory }: agentpb.MemoryStats) {
  const { usageBytes } = memory;
  const workingSetBytes = usageBytes > inactiveFileBytes ? usageBytes - inactiveFileBytes : 0n;
  const known = Object.entries(stat).filter(([name]) => /^[a-z0-9_]{1,64}$/.test(name));
  return {
    ...plain(memory),
    limitBytes: limitOf(memory.limitBytes),
    swapLimitBytes: limitOf(memory.swapLimitBytes),
    workingSetBytes,
    socketBytes: stat.sock ?? 0n,
    stat: Object.fromEntries(known.slice(0, MAX_MEMORY_FIGURES)),
  };
}

/** A limit as the API expresses it; the agent reports no limit as 0. */
const limitOf = (told: bigint): bigint => (told === 0n ? -1n : BigInt.asIntN(64, told));

/** The fields of a message without its type: the public messages have the same fields. */
function plain<M extends { $typeName: string }>({ $typeName: _type, ...fields }: M): Omit<M, "$typeName"> {
  return fields;
}
