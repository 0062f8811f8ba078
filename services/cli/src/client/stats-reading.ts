/** Readings of a sandbox's figures, and the shares of time between two of them. */

import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type ErrorKind, PaddockError } from "@paddock/domain";
import { type SandboxStats, SandboxStatsSchema } from "@paddock/protocol";
import type { CommandRun } from "../command-run.ts";
import { retried } from "./retry.ts";

export type Reading = {
  readonly sandboxId: string;
  /** By our own clock, in milliseconds. */
  readonly atMs: number;
  readonly stats: SandboxStats;
};

/** Reads once. Undefined for an error of a kind in `without`; throws `CliError` for others. */
export async function readStats(
  run: CommandRun,
  sandboxId: string,
  without: ReadonlySet<ErrorKind>,
): Promise<Reading | undefined> {
  try {
    const { stats } = await retried(
      () => run.api.sandboxes.getSandboxStats({ sandboxId }, run.callOptions({})),
      run.signal,
    );
    return { sandboxId, atMs: performance.now(), stats: stats ?? create(SandboxStatsSchema) };
  } catch (error) {
    if (error instanceof PaddockError && without.has(error.kind)) return undefined;
    throw run.explain(error, { what: `read the figures of sandbox "${sandboxId}"` });
  }
}

/**
 * CPU used between two readings, in percent of one CPU, by the clock that the figures were read by, or over `elapsedMs` when that
 * did not go on. Undefined when there are not two readings, or the counter began anew between them.
 */
export function cpuPercent<T extends { readonly time?: Timestamp | undefined }>(
  before: T | undefined,
  now: T,
  usageUs: (stats: T) => bigint | undefined,
  elapsedMs: number,
): number | undefined {
  const first = before && usageUs(before);
  const second = usageUs(now);
  if (first === undefined || second === undefined || second < first) return undefined;
  const byTheirClock = before?.time && now.time ? timestampMs(now.time) - timestampMs(before.time) : 0;
  const spanMs = byTheirClock > 0 ? byTheirClock : elapsedMs;
  return spanMs > 0 ? Number(second - first) / (spanMs * 10) : undefined;
}

type Periods = { readonly periods: bigint; readonly throttledPeriods: bigint };

/** Of the periods between two readings, those in which a quota was used up, in percent. Undefined when no quota applied. */
export function throttledPercent(before: Periods | undefined, now: Periods | undefined): number | undefined {
  if (before === undefined || now === undefined || now.periods <= before.periods) return undefined;
  const throttled = Number(now.throttledPeriods - before.throttledPeriods);
  return (Math.max(0, throttled) / Number(now.periods - before.periods)) * 100;
}
