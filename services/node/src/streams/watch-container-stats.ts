import { create } from "@bufbuild/protobuf";
import {
  type ContainerStats,
  type WatchContainerStatsRequest,
  type WatchContainerStatsResponse,
  WatchContainerStatsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { permitsContainer, requireContainer } from "../sandboxes/permits.ts";
import { cpuPercent, readContainerStats } from "../stats/container-stats.ts";
import { readingPace } from "./reading-pace.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/**
 * Reads a container's figures at an interval, until it exits. See `paddock.v1.ContainerService.WatchContainerStats`. A paused
 * sandbox has no figures: the stream continues after the resume.
 */
export async function* watchContainerStats(
  context: StreamContext,
  request: WatchContainerStatsRequest,
  call: CallContext,
): AsyncGenerator<WatchContainerStatsResponse> {
  const { containerId, sandboxId, interval } = request;
  const { sandbox } = streamContainer(context, request, call);
  permitsContainer(sandbox, containerId, "stats");
  const nextReading = readingPace(interval, call.signal);
  const isPaused = () => sandbox.record.phase.kind === "paused";
  const hasEnded = () =>
    requireContainer(context.sandboxes.require(sandboxId), containerId).phase.kind === "stopped";
  let before: ContainerStats | undefined;
  for (;;) {
    const stats = isPaused()
      ? undefined
      : await readContainerStats(sandbox, containerId, call.signal).catch((error: unknown) => {
          if (isPaused() || hasEnded()) return undefined;
          throw error;
        });
    if (stats !== undefined) {
      yield create(WatchContainerStatsResponseSchema, { stats, cpuPercent: cpuPercent(before, stats) });
      before = stats;
    }
    await nextReading();
    if (hasEnded()) return;
  }
}
