import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type ContainerStats, nodepb } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { pause } from "../agent/pause.ts";
import { cpuPercent, readContainerStats } from "../stats/container-stats.ts";
import { invalidStart } from "./first-request.ts";
import { requireContainer, type StreamContext } from "./stream-context.ts";

const DEFAULT_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;

/** Reads a container's figures at an interval, until it ends. See `paddock.v1.ContainerService.WatchContainerStats`. */
export async function* watchContainerStats(
  context: StreamContext,
  { request }: nodepb.WatchContainerStatsRequest,
  { signal }: CallContext,
): AsyncGenerator<nodepb.WatchContainerStatsResponse> {
  if (request === undefined) throw invalidStart();
  const { containerId, interval } = request;
  const { sandbox } = requireContainer(context, request);
  const asked = interval === undefined ? DEFAULT_INTERVAL_MS : durationMs(interval);
  const intervalMs = Math.min(Math.max(asked, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
  const { agent } = sandbox;
  let before: ContainerStats | undefined;
  for (;;) {
    const dueMs = performance.now() + intervalMs;
    const stats = await readContainerStats(agent, containerId, signal);
    const response = { stats, cpuPercent: cpuPercent(before, stats) };
    yield create(nodepb.WatchContainerStatsResponseSchema, { response });
    before = stats;
    await pause(dueMs - performance.now(), signal);
    signal.throwIfAborted();
    if (requireContainer(context, request).container.phase.kind === "stopped") return;
  }
}
