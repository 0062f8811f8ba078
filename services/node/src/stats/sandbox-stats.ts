/**
 * Figures of a sandbox: what its VM costs the host, by the host's cgroups, and what its guest says of itself. A guest that does not
 * answer hides nothing of the first part.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { CgroupUsage } from "@paddock/cgroups";
import {
  type agentpb,
  type ContainerStats,
  type GetSandboxStatsResponse,
  GetSandboxStatsResponseSchema,
  type GuestStats,
  GuestStatsSchema,
  type HostStats,
  HostStatsSchema,
} from "@paddock/protocol";
import type { AgentLink } from "../agent/agent-link.ts";
import { readContainerStats } from "./container-stats.ts";

const PATIENCE_MS = 3000;

/** The host's side of a VM. What the host does not count is not set. */
export type HostFigures = {
  readonly usage: CgroupUsage;
  readonly readAtMs: number;
  /** CPU time of the vCPU threads alone, in nanoseconds, where they have a cgroup of their own. */
  readonly vcpuNs?: bigint;
  readonly threads?: number;
  /** Memory the guest was given, in bytes. */
  readonly guestMemoryBytes: number;
  /** Limits in force: bytes, and microseconds in each period; 0 means none. */
  readonly memoryLimitBytes: number;
  readonly cpuQuotaUs: number;
  readonly cpuPeriodUs: number;
};

export type SandboxStatsSources = {
  readonly host: () => Promise<HostFigures>;
  /** Not set when there is no VM. */
  readonly link: AgentLink | undefined;
  /** Containers that have a cgroup in the guest. */
  readonly containerIds: readonly string[];
  readonly nowMs: () => number;
};

/** Reads all figures at once. Throws what `host` throws, or the signal's reason. */
export async function readSandboxStats(
  { host, link, containerIds, nowMs }: SandboxStatsSources,
  signal: AbortSignal,
): Promise<GetSandboxStatsResponse> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const [figures, guest, containers] = await Promise.all([
    host(),
    link === undefined ? undefined : ifAnswered(readGuestStats(link, patience, nowMs)),
    Promise.all(
      link === undefined ? [] : containerIds.map((id) => ifAnswered(readContainerStats(link, id, patience))),
    ),
  ]);
  signal.throwIfAborted();
  return create(GetSandboxStatsResponseSchema, {
    host: hostStats(figures),
    ...(guest && { guest }),
    containers: containers.filter((each): each is ContainerStats => each !== undefined),
  });
}

/** A guest that does not answer, or not in time, has no figures. */
const ifAnswered = <T>(reading: Promise<T>): Promise<T | undefined> => reading.catch(() => undefined);

async function readGuestStats(
  link: AgentLink,
  signal: AbortSignal,
  nowMs: () => number,
): Promise<GuestStats | undefined> {
  const { sandbox } = await link.client({ signal });
  const { guest } = await sandbox.getGuest({}, { signal });
  return guest && guestStats(guest, nowMs());
}

/** What the guest says of itself, read at `readAtMs`. */
export function guestStats(guest: agentpb.Guest, readAtMs: number): GuestStats {
  const { onlineCpus, memoryTotalBytes, memoryAvailableBytes, uptime } = guest;
  return create(GuestStatsSchema, {
    time: timestampFromMs(readAtMs),
    onlineCpus,
    memoryTotalBytes,
    memoryAvailableBytes,
    ...(uptime && isDuration(uptime) && { uptime: { seconds: uptime.seconds, nanos: uptime.nanos } }),
  });
}

/** What the VM costs its host. */
export function hostStats(figures: HostFigures): HostStats {
  const { usage, vcpuNs = 0n, threads, guestMemoryBytes } = figures;
  const memoryBytes = usage.memoryBytes ?? 0;
  return create(HostStatsSchema, {
    time: timestampFromMs(figures.readAtMs),
    cpuUsageUs: (usage.cpuNs ?? 0n) / 1000n,
    vcpuUsageUs: vcpuNs / 1000n,
    memoryUsageBytes: BigInt(memoryBytes),
    memoryLimitBytes: BigInt(figures.memoryLimitBytes),
    memoryOverheadBytes: BigInt(Math.max(0, memoryBytes - guestMemoryBytes)),
    threads: threads ?? usage.pids ?? 0,
    cpuQuotaUs: BigInt(figures.cpuQuotaUs),
    cpuPeriodUs: BigInt(figures.cpuPeriodUs),
  });
}

/** The range of google.protobuf.Duration, without negative ones: others cannot be written as JSON. */
const isDuration = ({ seconds, nanos }: { readonly seconds: bigint; readonly nanos: number }): boolean =>
  seconds >= 0n && seconds <= 315_576_000_000n && nanos >= 0 && nanos <= 999_999_999;
