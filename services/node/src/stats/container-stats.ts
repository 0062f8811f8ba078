/**
 * Figures of a container, from the guest's cgroup. They are the tenant's word: nothing here is believed for accounting.
 */
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type agentpb, type ContainerStats, ContainerStatsSchema } from "@paddock/protocol";
import type { AgentLink } from "../agent/agent-link.ts";
import { guestTime } from "../streams/convert/guest-time.ts";

const PATIENCE_MS = 5000;
/** Devices a container may be shown with; a guest names as many as it likes. */
const MAX_DEVICES = 256;

/** Reads a container's figures. Throws CONTAINER_NOT_FOUND, GUEST_UNAVAILABLE, DEADLINE, or the signal's reason. */
export async function readContainerStats(
  link: AgentLink,
  containerId: string,
  signal: AbortSignal,
): Promise<ContainerStats> {
  const { containers } = await link.client({ signal, deadlineMs: PATIENCE_MS });
  const figures = await containers.getContainerStats({ containerId }, { signal, timeoutMs: PATIENCE_MS });
  return containerStats(containerId, figures);
}

/** The guest's figures as clients see them. */
export function containerStats(
  containerId: string,
  { time, cpu, memory, pids, io }: agentpb.GetContainerStatsResponse,
): ContainerStats {
  const readAt = guestTime(time);
  return create(ContainerStatsSchema, {
    containerId,
    ...(readAt && { time: readAt }),
    ...(cpu && { cpu: plain(cpu) }),
    ...(memory && { memory: memoryStats(memory) }),
    ...(pids && { pids: plain(pids) }),
    io: io.slice(0, MAX_DEVICES).map(plain),
  });
}

/**
 * CPU used between two readings, in percent of one CPU. 0 without a reading before, or when the figures contradict
 * each other.
 */
export function cpuPercent(before: ContainerStats | undefined, now: ContainerStats): number {
  if (before?.time === undefined || now.time === undefined || !before.cpu || !now.cpu) return 0;
  const elapsedMs = timestampMs(now.time) - timestampMs(before.time);
  const usedUs = Number(now.cpu.usageUs - before.cpu.usageUs);
  return elapsedMs > 0 && usedUs > 0 ? usedUs / 10 / elapsedMs : 0;
}

/** The working set is the usage without page cache that is not in active use. */
function memoryStats({ inactiveFileBytes, ...memory }: agentpb.MemoryStats) {
  const { usageBytes } = memory;
  const workingSetBytes = usageBytes > inactiveFileBytes ? usageBytes - inactiveFileBytes : 0n;
  return { ...plain(memory), workingSetBytes };
}

/** The fields of a message without its type: the public messages have the same ones. */
function plain<M extends { $typeName: string }>({ $typeName: _type, ...fields }: M): Omit<M, "$typeName"> {
  return fields;
}
