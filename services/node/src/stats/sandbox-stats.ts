/** Figures of a sandbox: what its host counted, always; and what its guest says, when it answers. The two are never mixed. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ContainerStats,
  type GuestStats,
  GuestStatsSchema,
  type HostStats,
  HostStatsSchema,
} from "@paddock/protocol";
import type { SandboxCgroups } from "../machine/machine-port.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { guestSpan } from "../streams/convert/guest-time.ts";
import { readContainerStats } from "./container-stats.ts";
import { guestFigures } from "./guest-figures.ts";

/** What reading needs of the node. */
export type StatsContext = {
  readonly cgroups: Pick<SandboxCgroups, "usage" | "layout">;
  readonly vmOverheadBytes: number;
  readonly nowMs: () => number;
};

export type SandboxStats = {
  readonly host: HostStats;
  readonly guest?: GuestStats;
  /** By id; none while the guest does not answer. */
  readonly containers: readonly ContainerStats[];
  /** Why the guest's part is missing, though the guest was asked. */
  readonly silence?: unknown;
};

/** Reads them. A paused guest is not asked. Throws the signal's reason. */
export async function readSandboxStats(
  context: StatsContext,
  sandbox: LiveSandbox,
  signal: AbortSignal,
): Promise<SandboxStats> {
  const host = await hostStats(context, sandbox);
  if (sandbox.record.phase.kind === "paused") return { host, containers: [] };
  try {
    const ids = sandbox.record.containers.map(({ containerId }) => containerId).sort();
    const [guest, ...containers] = await Promise.all([
      guestStats(sandbox, signal),
      ...ids.map((id) => readContainerStats(sandbox, id, signal)),
    ]);
    return { host, guest, containers };
  } catch (silence) {
    signal.throwIfAborted();
    return { host, containers: [], silence };
  }
}

async function hostStats(context: StatsContext, sandbox: LiveSandbox): Promise<HostStats> {
  const { paths, record, applied } = sandbox;
  const used = await context.cgroups.usage(paths.name);
  const given = applied?.size.memoryBytes ?? record.size.memoryBytes;
  return create(HostStatsSchema, {
    time: timestampFromMs(context.nowMs()),
    cpuUsageUs: used.cpuUs,
    vcpuUsageUs: used.vcpuUs,
    cpuUserUs: used.cpuUserUs,
    cpuSystemUs: used.cpuSystemUs,
    periods: used.periods,
    throttledPeriods: used.throttledPeriods,
    throttledUs: used.throttledUs,
    memoryUsageBytes: BigInt(used.memoryBytes),
    memoryCacheBytes: BigInt(used.memoryCacheBytes),
    memoryPeakBytes: BigInt(used.memoryPeakBytes),
    memoryMaxEvents: used.memoryMaxEvents,
    memoryOverheadBytes: BigInt(Math.max(0, used.memoryBytes - given)),
    oomKills: used.oomKills,
    threads: used.threads,
    declaredOverheadBytes: BigInt(context.vmOverheadBytes),
    source: `host cgroup ${context.cgroups.layout}`,
    ...(applied && {
      memoryLimitBytes: BigInt(applied.limits.memoryBytes),
      cpuQuotaUs: BigInt(applied.limits.cpu?.quotaUs ?? 0),
      cpuPeriodUs: BigInt(applied.limits.cpu?.periodUs ?? 0),
      pidsLimit: BigInt(applied.limits.pids),
    }),
  });
}

async function guestStats(sandbox: LiveSandbox, signal: AbortSignal): Promise<GuestStats> {
  const guest = await guestFigures(sandbox.agent).guest(signal);
  const uptime = guestSpan(guest?.uptime);
  return create(GuestStatsSchema, {
    onlineCpus: guest?.onlineCpus ?? 0,
    memoryTotalBytes: guest?.memoryTotalBytes ?? 0n,
    memoryAvailableBytes: guest?.memoryAvailableBytes ?? 0n,
    source: "guest",
    ...(uptime && { uptime }),
  });
}
