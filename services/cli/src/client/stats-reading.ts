/** Readings of a sandbox's figures, and the share of CPU between two of them. */

import { PaddockError } from "@paddock/domain";
import type { GetSandboxStatsResponse } from "@paddock/protocol";
import type { CommandRun } from "../command-run.ts";
import { retried } from "./retry.ts";

export type Reading = {
  readonly sandboxId: string;
  readonly atMs: number;
  readonly stats: GetSandboxStatsResponse;
};

/** One that ended while all were read is left out, unless it was `named`. */
export async function readStats(
  run: CommandRun,
  sandboxId: string,
  named: boolean,
): Promise<Reading | undefined> {
  try {
    const stats = await retried(
      () => run.api.sandboxes.getSandboxStats({ sandboxId }, run.callOptions({})),
      run.signal,
    );
    return { sandboxId, atMs: performance.now(), stats };
  } catch (error) {
    if (!named && error instanceof PaddockError && GONE.has(error.kind)) return undefined;
    throw run.explain(error, { what: `read the figures of sandbox "${sandboxId}"` });
  }
}

const GONE: ReadonlySet<string> = new Set(["not_found", "failed_precondition", "unavailable"]);

/** In percent of one CPU; undefined when there are not two readings, or the counter began anew between them. */
export function cpuPercent(
  before: Reading | undefined,
  now: Reading,
  usageUs: (reading: Reading) => bigint | undefined,
): number | undefined {
  const first = before && usageUs(before);
  const second = usageUs(now);
  if (before === undefined || first === undefined || second === undefined || second < first) return undefined;
  const elapsedUs = (now.atMs - before.atMs) * 1000;
  return elapsedUs > 0 ? (Number(second - first) / elapsedUs) * 100 : undefined;
}
