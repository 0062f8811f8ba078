/** Readings of a sandbox's resource usage, and CPU shares between two of them. */
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import {
  type ContainerStats,
  type HostStats,
  type SandboxStats,
  SandboxStatsSchema,
} from "@paddock/protocol";
import type { ApiClient } from "./api-client.ts";

export type StatsReading = {
  readonly sandboxId: string;
  /** When it was read, by the clock of this program, in milliseconds. */
  readonly atMs: number;
  readonly stats: SandboxStats;
};

/** Reads once. Throws `PaddockError`. */
export async function readStats(
  client: Pick<ApiClient, "sandboxes">,
  sandboxId: string,
  options: CallOptions = {},
): Promise<StatsReading> {
  const { stats } = await client.sandboxes.getSandboxStats({ sandboxId }, options);
  return { sandboxId, atMs: performance.now(), stats: stats ?? create(SandboxStatsSchema) };
}

/** The fields of a VM's or container's stats that `cpuPercent` uses. */
export type CpuFigures = Pick<HostStats | ContainerStats, "time" | "cpu">;

/**
 * CPU used between two readings, in percent of one CPU: by the clock of the figures, or over `elapsedMs` if that clock did not
 * advance. Undefined without a first reading, or if the counter restarted between the two.
 */
export function cpuPercent(
  before: CpuFigures | undefined,
  now: CpuFigures,
  elapsedMs: number,
): number | undefined {
  const first = before?.cpu?.usageUs;
  const second = now.cpu?.usageUs;
  if (first === undefined || second === undefined || second < first) return undefined;
  const byTheirClock = before?.time && now.time ? timestampMs(now.time) - timestampMs(before.time) : 0;
  const spanMs = byTheirClock > 0 ? byTheirClock : elapsedMs;
  return spanMs > 0 ? Number(second - first) / (spanMs * 10) : undefined;
}

type Periods = { readonly periods: bigint; readonly throttledPeriods: bigint };

/** The share of periods between two readings in which the CPU quota was used up, in percent. Undefined if no quota applied. */
export function throttledPercent(before: Periods | undefined, now: Periods | undefined): number | undefined {
  if (before === undefined || now === undefined || now.periods <= before.periods) return undefined;
  const throttled = Number(now.throttledPeriods - before.throttledPeriods);
  return (Math.max(0, throttled) / Number(now.periods - before.periods)) * 100;
}
