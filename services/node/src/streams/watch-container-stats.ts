import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type ContainerStats, nodepb } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { pause } from "../agent/pause.ts";
import { cpuPercent, readContainerStats } from "../stats/container-stats.ts";
import { invalidStart } from "./first-request.ts";
import { requireContainer, requireState, type StreamContext } from "./stream-context.ts";

const DEFAULT_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;

/**
 * Reads a container's figures at an interval, until it ends. See `paddock.v1.ContainerService.WatchContainerStats`. A sandbox
 * that is paused meanwhile has nothing to say: the stream goes on when it is resumed.
 */
export async function* watchContainerStats(
  context: StreamContext,
  { request }: nodepb.WatchContainerStatsRequest,
  { signal }: CallContext,
): AsyncGenerator<nodepb.WatchContainerStatsResponse> {
  if (request === undefined) throw invalidStart();
  const { containerId, interval } = request;
  const live = requireContainer(context, request);
  requireState(live, "stats", "watch the figures of");
  const asked = interval === undefined ? DEFAULT_INTERVAL_MS : durationMs(interval);
  const intervalMs = Math.min(Math.max(asked, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
  const { agent } = live.sandbox;
  const isPaused = () => live.sandbox.record.phase.kind === "paused";
  const hasEnded = () => requireContainer(context, request).container.phase.kind === "stopped";
  let before: ContainerStats | undefined;
  for (;;) {
    const dueMs = performance.now() + intervalMs;
    const stats = isPaused()
      ? undefined
      : await readContainerStats(agent, containerId, signal).catch((error: unknown) => {
          if (isPaused() || hasEnded()) return undefined;
          throw error;
        });
    if (stats !== undefined) {
      const response = { stats, cpuPercent: cpuPercent(before, stats) };
      yield create(nodepb.WatchContainerStatsResponseSchema, { response });
      before = stats;
    }
    await pause(dueMs - performance.now(), signal);
    signal.throwIfAborted();
    if (hasEnded()) return;
  }
}
