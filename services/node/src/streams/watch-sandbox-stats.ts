import { create } from "@bufbuild/protobuf";
import { decide, denial } from "@paddock/domain";
import {
  type HostStats,
  type WatchSandboxStatsRequest,
  type WatchSandboxStatsResponse,
  WatchSandboxStatsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { cpuPercent } from "../stats/container-stats.ts";
import { readSandboxStats } from "../stats/sandbox-stats.ts";
import { readingPace } from "./reading-pace.ts";
import { type StreamContext, streamSandbox } from "./stream-context.ts";

/**
 * Reads the figures of a sandbox at an interval, until it stops. See `paddock.v1.SandboxService.WatchSandboxStats`. While its
 * guest is paused or does not answer, only the host's figures are sent.
 */
export async function* watchSandboxStats(
  context: StreamContext,
  request: WatchSandboxStatsRequest,
  call: CallContext,
): AsyncGenerator<WatchSandboxStatsResponse> {
  const sandbox = streamSandbox(context, request, call);
  const first = verdict(sandbox);
  if (first.kind === "deny") throw denial(`watch the figures of sandbox ${sandbox.sandboxId}`, first);
  const nextReading = readingPace(request.interval, call.signal);
  let before: HostStats | undefined;
  while (verdict(sandbox).kind === "accept") {
    const { stats } = await readSandboxStats(context, sandbox, call.signal);
    yield create(WatchSandboxStatsResponseSchema, { stats, cpuPercent: cpuPercent(before, stats.host) });
    before = stats.host;
    await nextReading();
  }
}

const verdict = ({ record }: LiveSandbox) =>
  decide({ about: "sandbox", state: record.phase.kind, request: "stats" });
