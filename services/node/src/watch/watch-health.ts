/**
 * Checks a guest's health periodically, and records changes.
 *
 * A kernel that hangs keeps its end of the link open and sends nothing, so a broken link is no measure. A paused guest is not
 * asked: its vCPUs are stopped, so silence means nothing. A VM suspended by a full disk is not asked either: the cause is
 * known.
 *
 * Between two checks the guest is pinged, which is not a call. A guest that does not answer a ping is checked at once, and so
 * is a silent guest that answers one. So a silent guest is known within about 10 s, as streams know it
 * (`streams/guest-watch.ts`), and its return within 3 s.
 */
import { setTimeout as pause } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import { guestText } from "../agent/guest-text.ts";
import type { NodeContext } from "../node-context.ts";
import { hostSharesOf } from "../record/host-shares.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { catchUp } from "./catch-up.ts";

export type HealthOptions = {
  /** Time between two checks, in milliseconds. */
  readonly intervalMs?: number;
  /** Time for a guest to answer, in milliseconds: an emulated one on a busy host was seen to take 5 s. */
  readonly patienceMs?: number;
  /** Time between two pings, in milliseconds. */
  readonly pingEveryMs?: number;
  /** Whether the guest answers a ping. */
  readonly answersPing?: (vm: RunningVm) => Promise<boolean>;
};

const MAX_DETAIL = 256;
const PING_PATIENCE_MS = 1000;

/** Runs until the sandbox is detached from this VM. Never throws. */
export async function watchHealth(
  ctx: NodeContext,
  entry: SandboxEntry,
  vm: RunningVm,
  options: HealthOptions = {},
): Promise<void> {
  const { patienceMs = 7000 } = options;
  const { lifetime, machine } = vm;
  let waiting = new AbortController();
  if (hostSharesOf(entry.record.spec).length > 0)
    void ctx.shares.ended(entry.record.vm.id).then(() => waiting.abort());
  machine.onHeld = () => {
    waiting.abort();
    if (!machine.isHeld && !isPaused(entry)) void catchUp(ctx, entry, vm);
  };
  for (;;) {
    waiting = new AbortController();
    const signal = AbortSignal.any([lifetime, waiting.signal]);
    await untilDue(entry, vm, options, signal);
    if (lifetime.aborted) return;
    if (isPaused(entry)) continue;
    const problem = await problemOf(ctx, entry, vm, patienceMs);
    // The sandbox may have been paused between the check and its answer.
    if (lifetime.aborted) return;
    if (problem !== undefined && isPaused(entry)) continue;
    try {
      if (problem === undefined) recordHealthy(entry);
      else recordUnhealthy(entry, problem);
    } catch (error) {
      entry.log.error({ err: error }, "recording a guest's health failed");
    }
  }
}

/** Settles when the next check is due: after the interval, when a ping shows a change, or when the signal aborts. */
async function untilDue(
  entry: SandboxEntry,
  vm: RunningVm,
  { intervalMs = 10_000, pingEveryMs = 2500, answersPing = pingGuest }: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  for (let leftMs = intervalMs; ; leftMs -= pingEveryMs) {
    await pause(Math.min(leftMs, pingEveryMs), undefined, { signal }).catch(() => undefined);
    if (signal.aborted || leftMs <= pingEveryMs) return;
    const isSuspended = isPaused(entry) || entry.held !== undefined;
    const wasSilent = entry.record.unhealthy !== undefined;
    if (!isSuspended && (await answersPing(vm)) === wasSilent) return;
  }
}

const pingGuest = async ({ link: { state } }: RunningVm): Promise<boolean> =>
  state.kind === "up" && (await state.agent.answersPing(PING_PATIENCE_MS));

const isPaused = ({ record }: SandboxEntry): boolean => record.phase.kind === "paused";

async function problemOf(
  ctx: NodeContext,
  entry: SandboxEntry,
  { link, lifetime }: RunningVm,
  patienceMs: number,
): Promise<string | undefined> {
  if (entry.held !== undefined) return entry.held.message;
  const usedBefore = await vcpuSeconds(ctx, entry);
  try {
    const client = await link.client({ signal: lifetime, deadlineMs: patienceMs });
    await client.sandbox.getGuest({}, { signal: lifetime, timeoutMs: patienceMs });
    // The end of a VM ends its servers, so they are asked about only after an answer.
    return await ctx.shares.problem(entry.vmPaths, hostSharesOf(entry.record.spec));
  } catch (error) {
    const isLate =
      !(error instanceof PaddockError) || error.kind === "cancelled" || error.reason === "DEADLINE";
    if (!isLate) return guestText(error.message, MAX_DETAIL);
    const used = (await vcpuSeconds(ctx, entry)) - usedBefore;
    const had = Number.isNaN(used) ? "" : `; its vCPUs had ${used.toFixed(2)} s of CPU time meanwhile`;
    return `the guest did not answer within ${patienceMs} ms${had}`;
  }
}

/**
 * CPU time of the vCPUs. It distinguishes a guest that spins from one that is idle or gets no CPU. NaN where the kernel does
 * not count it.
 */
const vcpuSeconds = ({ cgroups }: NodeContext, { record }: SandboxEntry): Promise<number> =>
  cgroups.usage(record.vm.id).then(
    ({ vcpuUs }) => Number(vcpuUs) / 1e6,
    () => Number.NaN,
  );

function recordUnhealthy(entry: SandboxEntry, problem: string): void {
  if (entry.record.unhealthy !== undefined) return;
  entry.log.warn({ problem }, "a guest does not answer");
  entry.update((record) => ({ ...record, unhealthy: problem }));
}

function recordHealthy(entry: SandboxEntry): void {
  if (entry.record.unhealthy === undefined) return;
  entry.log.info({}, "a guest answers again");
  entry.update(({ unhealthy: _, ...record }) => record);
}
