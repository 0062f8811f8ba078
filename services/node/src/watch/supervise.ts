/**
 * Watches a sandbox's VM and guest from its boot to its end, and records what happens to them.
 *
 * The unexpected end of a VM is recorded at once, without the lock: it is a fact, and the lock's holder learns of it because
 * the link to the guest is closed. Only the clean-up waits for the lock.
 */
import { setTimeout as pause } from "node:timers/promises";
import { hasReason, PaddockError } from "@paddock/domain";
import type { agentpb } from "@paddock/protocol";
import type { AgentClient } from "../agent/connect-agent.ts";
import { GuestBatch } from "../events/guest-batch.ts";
import { lowerCpu } from "../limits/lower-cpu.ts";
import { resizeSoon } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { entitled } from "../record/entitled.ts";
import { lostVm } from "../record/lost-vm.ts";
import { machineOf, type SandboxRecord, type StopCause, stopped } from "../record/sandbox-record.ts";
import { ownerOf, releaseSandbox } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { MachineEnd } from "../vm/machine-port.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import { afterGuestEvents, afterGuestList, type FactContext } from "../wire/guest-facts.ts";
import type { Change } from "../wire/sandbox-events.ts";
import { restoreNetworkOf } from "./guest-network.ts";
import { watchHealth } from "./watch-health.ts";

const LIST_TIMEOUT_MS = 5000;
/**
 * Pause between attempts to follow a guest. It doubles up to the maximum while they are short, because a guest may end each at
 * once.
 */
const RETRY_PAUSE_MS = 250;
const MOST_RETRY_PAUSE_MS = 8000;
const LONG_WATCH_MS = 10_000;
const WRITE_RETRY_MS = 500;
const CLEANUP_PATIENCE_MS = 10 * 60_000;

/** Starts to watch a VM, when it is attached. */
export function watchMachine(ctx: NodeContext, entry: SandboxEntry, vm: RunningVm): void {
  vm.machine.onResized = () => resizeSoon(ctx, entry, vm);
  void vm.machine.ended.then((end) => onMachineEnd(ctx, entry, vm, end));
}

/** Starts to follow a configured guest; ends when the sandbox is detached from this VM. */
export function watchGuest(ctx: NodeContext, entry: SandboxEntry, vm: RunningVm): void {
  void followGuest(ctx, entry, vm);
  void watchHealth(ctx, entry, vm);
}

async function onMachineEnd(
  ctx: NodeContext,
  entry: SandboxEntry,
  vm: RunningVm,
  end: MachineEnd,
): Promise<void> {
  if (entry.vm !== vm || vm.endExpected) return;
  const { sandboxId } = entry;
  const cause: StopCause = end.cause === "guest_shutdown" ? "vm_lost" : end.cause;
  entry.log.warn({ cause, evidence: end.evidence }, "a VM ended unexpectedly");
  entry.detach(lostVm(sandboxId, cause, end.evidence));
  await recordLoss(ctx, entry, cause, end.evidence);
  const options = { name: "clean up after a lost VM", signal: AbortSignal.timeout(CLEANUP_PATIENCE_MS) };
  await ctx.lock
    .with(sandboxId, options, async () => {
      if (entry.vm === undefined && entry.record.phase.kind === "stopped")
        await releaseSandbox(ctx, entry, { ...ownerOf(ctx, entry), machine: vm.machine }, "of-the-boot");
    })
    .catch((error: unknown) => entry.log.error({ err: error }, "cleaning up a lost VM failed"));
}

/** Retries until the loss is recorded: a full disk may have room later, and the loss is known nowhere else. */
async function recordLoss(
  ctx: NodeContext,
  entry: SandboxEntry,
  cause: StopCause,
  evidence: string,
): Promise<void> {
  const end = { cause, evidence, nowMs: ctx.nowMs() };
  while (entry.vm === undefined && ctx.sandboxes.find(entry.sandboxId) === entry) {
    try {
      entry.update((record) => (machineOf(record) === undefined ? record : stopped(record, end)));
      return;
    } catch (error) {
      entry.log.error({ err: error }, "recording the loss of a VM failed, retrying");
    }
    await pause(WRITE_RETRY_MS, undefined, { ref: false });
  }
}

const factsOf = (ctx: NodeContext, vm: RunningVm): FactContext => ({
  nowMs: ctx.nowMs(),
  stopRequested: (containerId) => vm.stopRequests.has(containerId),
});

async function followGuest(ctx: NodeContext, entry: SandboxEntry, vm: RunningVm): Promise<void> {
  const { link, lifetime } = vm;
  let seen = entry.record.agentSequence;
  let pauseMs = RETRY_PAUSE_MS;
  let again = new AbortController();
  const update = (record: SandboxRecord, told: readonly Change[] = []) => {
    const before = entitled(entry.record).length;
    entry.update(() => record, { told });
    if (entitled(record).length === before) return;
    lowerCpu(ctx, entry, vm);
    resizeSoon(ctx, entry, vm);
  };
  const write = (events: readonly agentpb.WatchEventsResponse[]) => {
    try {
      const { record, told } = afterGuestEvents(entry.record, events, factsOf(ctx, vm));
      update(record, told);
    } catch (error) {
      entry.log.error({ err: error }, "recording events of a guest failed, asking for them again");
      seen = entry.record.agentSequence;
      again.abort();
    }
  };
  using batch = new GuestBatch({ write });
  // The guest's last events are recorded before the record changes without it.
  lifetime.addEventListener("abort", () => batch.flush(), { once: true });
  while (!lifetime.aborted) {
    const begun = performance.now();
    again = new AbortController();
    const signal = AbortSignal.any([lifetime, again.signal]);
    try {
      const client = await link.client({ signal: lifetime });
      void restoreNetworkOf(ctx, entry, vm, client);
      const { sandbox } = client;
      const listed = await listContainers(client, entry.record, lifetime);
      if (lifetime.aborted) return;
      update(afterGuestList(entry.record, listed, factsOf(ctx, vm)));
      for await (const event of sandbox.watchEvents({ afterSequence: BigInt(seen) }, { signal })) {
        if (lifetime.aborted) return;
        if (again.signal.aborted) break;
        seen = Math.max(seen, Number(event.sequence));
        const waitMs = batch.add(event);
        if (waitMs > 0) await pause(waitMs, undefined, { signal });
      }
    } catch (error) {
      if (lifetime.aborted) return;
      // A broken link has its own log line. Any other failure keeps exits from being recorded, so an operator must see it.
      const level = error instanceof PaddockError && error.kind === "unavailable" ? "debug" : "warn";
      entry.log[level]({ err: error }, "following a guest's events failed, retrying");
    } finally {
      batch.flush();
    }
    if (performance.now() - begun > LONG_WATCH_MS) pauseMs = RETRY_PAUSE_MS;
    await pause(pauseMs, undefined, { signal: lifetime }).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, MOST_RETRY_PAUSE_MS);
  }
}

/**
 * The guest's containers, without execs: a thousand ended execs are kept for each container. The agent of an earlier daemon's
 * guest reports all, which may be too large for one answer; then it is asked for one container at a time.
 */
async function listContainers(
  { containers }: AgentClient,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<agentpb.Container[]> {
  const options = { signal, timeoutMs: LIST_TIMEOUT_MS };
  try {
    return (await containers.listContainers({ withoutExecs: true }, options)).containers;
  } catch (error) {
    if (!hasReason(error, "TOO_MANY")) throw error;
  }
  const told: agentpb.Container[] = [];
  for (const { containerId } of record.containers) {
    const { container } = await containers
      .getContainer({ containerId, withoutExecs: true }, options)
      .catch((error: unknown) => {
        if (hasReason(error, "CONTAINER_NOT_FOUND")) return { container: undefined };
        throw error;
      });
    if (container !== undefined) told.push(container);
  }
  return told;
}
