/** Figures of a sandbox: always those of the host, and those of the guest when it answers. They are kept apart. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type GuestStats,
  GuestStatsSchema,
  type HostStats,
  HostStatsSchema,
  type SandboxStats,
  SandboxStatsSchema,
} from "@paddock/protocol";
import { vmOverheadBytesOf } from "../record/vm-overhead.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import type { MachineCgroups } from "../vm/machine-port.ts";
import { guestSpan } from "../wire/guest-time.ts";
import { readContainerStats } from "./container-stats.ts";
import { guestFigures } from "./guest-figures.ts";
import { type InterfaceReader, interfaceStats } from "./interface-stats.ts";

/** Input of a reading. */
export type StatsContext = {
  readonly cgroups: Pick<MachineCgroups, "usage" | "layout">;
  readonly vmOverheadBytes: number;
  readonly nowMs: () => number;
  /** Undefined: the sandboxes have no network. */
  readonly network: InterfaceReader | undefined;
};

export type SandboxReading = {
  readonly stats: SandboxStats;
  /** Why the guest's figures are missing, if the guest was asked. */
  readonly silence?: unknown;
};

/** Reads the figures. A paused guest is not asked. Throws the signal's reason. */
export async function readSandboxStats(
  context: StatsContext,
  sandbox: LiveSandbox,
  signal: AbortSignal,
): Promise<SandboxReading> {
  const host = await hostStats(context, sandbox);
  const { record } = sandbox;
  const hostOnly = async () =>
    create(SandboxStatsSchema, { host, interfaces: await interfaceStats(record, context.network, []) });
  if (record.phase.kind === "paused") return { stats: await hostOnly() };
  try {
    const ids = record.containers.map(({ containerId }) => containerId).sort();
    const [guest, ...containers] = await Promise.all([
      guestStats(sandbox, signal),
      ...ids.map((id) => readContainerStats(sandbox, id, signal)),
    ]);
    const interfaces = await interfaceStats(record, context.network, containers);
    return { stats: create(SandboxStatsSchema, { host, guest, containers, interfaces }) };
  } catch (silence) {
    signal.throwIfAborted();
    return { stats: await hostOnly(), silence };
  }
}

async function hostStats(context: StatsContext, sandbox: LiveSandbox): Promise<HostStats> {
  const { record, applied } = sandbox;
  const used = await context.cgroups.usage(record.vm.id);
  const given = applied?.size.memoryBytes ?? record.size.memoryBytes;
  const limits = applied?.limits;
  return create(HostStatsSchema, {
    time: timestampFromMs(context.nowMs()),
    cpu: {
      usageUs: used.cpuUs,
      userUs: used.cpuUserUs,
      systemUs: used.cpuSystemUs,
      periods: used.periods,
      throttledPeriods: used.throttledPeriods,
      throttledUs: used.throttledUs,
      ...(limits && { quotaUs: BigInt(limits.cpu?.quotaUs ?? -1) }),
      ...(limits?.cpu && { periodUs: BigInt(limits.cpu.periodUs) }),
    },
    memory: {
      usageBytes: BigInt(used.memoryBytes),
      fileBytes: BigInt(used.memoryCacheBytes),
      peakBytes: BigInt(used.memoryPeakBytes),
      maxEvents: used.memoryMaxEvents,
      oomKills: used.oomKills,
      ...(limits && { limitBytes: BigInt(limits.memoryBytes) }),
    },
    pids: { current: BigInt(used.threads), ...(limits && { limit: BigInt(limits.pids) }) },
    source: `host cgroup ${context.cgroups.layout}`,
    vcpuUsageUs: used.vcpuUs,
    memoryOverheadBytes: BigInt(Math.max(0, used.memoryBytes - given)),
    declaredOverheadBytes: BigInt(vmOverheadBytesOf(context.vmOverheadBytes, record.spec)),
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
