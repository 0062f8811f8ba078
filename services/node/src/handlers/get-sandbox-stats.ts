import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type GetSandboxStatsRequest,
  type GetSandboxStatsResponse,
  type GuestStats,
  GuestStatsSchema,
  type HostStats,
  HostStatsSchema,
} from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { readContainerStats } from "../stats/container-stats.ts";
import { guestSpan } from "../streams/convert/guest-time.ts";
import type { Answer } from "./answer.ts";
import { type Call, permits } from "./call.ts";

const GUEST_TIMEOUT_MS = 5000;

/** What the host counted, always; what the guest says, when it answers. A paused guest cannot. */
export async function getSandboxStats(
  ctx: NodeContext,
  { sandboxId }: GetSandboxStatsRequest,
  call: Call,
): Promise<Answer<GetSandboxStatsResponse>> {
  const entry = ctx.sandboxes.require(sandboxId);
  permits(entry, "stats");
  const host = await hostStats(ctx, entry);
  if (entry.record.phase.kind === "paused") return { host, containers: [] };
  try {
    return { host, ...(await toldByGuest(entry, call)) };
  } catch (error) {
    call.signal.throwIfAborted();
    ctx.log.debug({ sandbox: sandboxId, err: error }, "a guest did not tell its figures");
    return { host, containers: [] };
  }
}

async function toldByGuest(entry: SandboxEntry, call: Call) {
  const ids = entry.record.containers.map(({ containerId }) => containerId).sort();
  const [guest, ...containers] = await Promise.all([
    guestStats(entry, call),
    ...ids.map((id) => readContainerStats(entry.agent, id, call.signal)),
  ]);
  return { guest, containers };
}

async function hostStats(ctx: NodeContext, { paths, record }: SandboxEntry): Promise<HostStats> {
  const { cpuUs, vcpuUs, memoryBytes, threads } = await ctx.cgroups.usage(paths.name);
  return create(HostStatsSchema, {
    time: timestampFromMs(ctx.nowMs()),
    cpuUsageUs: cpuUs,
    vcpuUsageUs: vcpuUs,
    memoryUsageBytes: BigInt(memoryBytes),
    memoryOverheadBytes: BigInt(Math.max(0, memoryBytes - record.size.memoryBytes)),
    threads,
  });
}

async function guestStats(entry: SandboxEntry, { signal }: Call): Promise<GuestStats> {
  const { sandbox } = await entry.agent.client({ signal, deadlineMs: GUEST_TIMEOUT_MS });
  const { guest } = await sandbox.getGuest({}, { signal, timeoutMs: GUEST_TIMEOUT_MS });
  const uptime = guestSpan(guest?.uptime);
  return create(GuestStatsSchema, {
    onlineCpus: guest?.onlineCpus ?? 0,
    memoryTotalBytes: guest?.memoryTotalBytes ?? 0n,
    memoryAvailableBytes: guest?.memoryAvailableBytes ?? 0n,
    ...(uptime && { uptime }),
  });
}
