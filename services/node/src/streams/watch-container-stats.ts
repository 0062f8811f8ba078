import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
  type ContainerStats,
  type WatchContainerStatsRequest,
  type WatchContainerStatsResponse,
  WatchContainerStatsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { cpuPercent, readContainerStats } from "../stats/container-stats.ts";
import { statsIntervalMs } from "./stats-interval.ts";
import { requireContainer, requireState, type StreamContext } from "./stream-context.ts";

/**
 * Reads a container's figures at an interval, until it exits. See `paddock.v1.ContainerService.WatchContainerStats`. A sandbox
 * that is paused has no figures: the stream continues when it is resumed.
 */
export async function* watchContainerStats(
  context: StreamContext,
  request: WatchContainerStatsRequest,
  { signal }: CallContext,
): AsyncGenerator<WatchContainerStatsResponse> {
  const { containerId, interval } = request;
  const live = requireContainer(context, request);
  requireState(live, "stats", "watch the figures of");
  const intervalMs = statsIntervalMs(interval);
  const isPaused = () => live.sandbox.record.phase.kind === "paused";
  const hasEnded = () => requireContainer(context, request).container.phase.kind === "stopped";
  let before: ContainerStats | undefined;
  for (;;) {
    const dueMs = performance.now() + intervalMs;
    const stats = isPaused()
      ? undefined
      : await readContainerStats(live.sandbox, containerId, signal).catch((error: unknown) => {
          if (isPaused() || hasEnded()) return undefined;
          throw error;
        });
    if (stats !== undefined) {
      yield create(WatchContainerStatsResponseSchema, { stats, cpuPercent: cpuPercent(before, stats) });
      before = stats;
    }
    await pause(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
    if (hasEnded()) return;
  }
}
