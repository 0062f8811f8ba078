import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { decide, denial } from "@paddock/domain";
import {
  type HostStats,
  type WatchSandboxStatsRequest,
  type WatchSandboxStatsResponse,
  WatchSandboxStatsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { readSandboxStats } from "../stats/sandbox-stats.ts";
import { statsIntervalMs } from "./stats-interval.ts";
import type { StreamContext } from "./stream-context.ts";

/**
 * Reads the figures of a sandbox at an interval, until it stops. See `paddock.v1.SandboxService.WatchSandboxStats`. While its guest
 * is paused or does not answer, there are only the host's figures.
 */
export async function* watchSandboxStats(
  context: StreamContext,
  request: WatchSandboxStatsRequest,
  { signal }: CallContext,
): AsyncGenerator<WatchSandboxStatsResponse> {
  const sandbox = context.sandboxes.require(request.sandboxId);
  const first = verdict(sandbox);
  if (first.kind === "deny") throw denial(`watch the figures of sandbox ${sandbox.sandboxId}`, first);
  const intervalMs = statsIntervalMs(request.interval);
  let before: HostStats | undefined;
  while (verdict(sandbox).kind === "accept") {
    const dueMs = performance.now() + intervalMs;
    const { stats } = await readSandboxStats(context, sandbox, signal);
    yield create(WatchSandboxStatsResponseSchema, { stats, cpuPercent: cpuPercent(before, stats.host) });
    before = stats.host;
    await pause(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}

const verdict = ({ record }: LiveSandbox) =>
  decide({ about: "sandbox", state: record.phase.kind, request: "stats" });

/** CPU time used between two readings, in percent of one CPU; 0 without a reading before. */
function cpuPercent(before: HostStats | undefined, now: HostStats | undefined): number {
  if (!before?.time || !before.cpu || !now?.time || !now.cpu) return 0;
  const elapsedMs = timestampMs(now.time) - timestampMs(before.time);
  // A sandbox that was stopped and started meanwhile counts from zero again.
  const usedUs = Number(now.cpu.usageUs - before.cpu.usageUs);
  return elapsedMs > 0 && usedUs > 0 ? usedUs / 10 / elapsedMs : 0;
}
