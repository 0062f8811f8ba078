/**
 * Recovers the state of an earlier daemon at the start: takes over running VMs, records why the others are gone, finishes
 * deletions, undoes unfinished operations, and sweeps resources without a record. One faulty sandbox does not delay others: all
 * are recovered concurrently, each with a time budget.
 */
import { setTimeout as pause } from "node:timers/promises";
import { deleteSandboxEntry } from "../lifecycle/delete-sandbox.ts";
import { undoNoted } from "../lifecycle/operations.ts";
import { finishStop } from "../lifecycle/stop-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import { machineOf, type StopCause, stopped } from "../record/sandbox-record.ts";
import { ownerOf, releaseSandbox } from "../resources/release-sandbox.ts";
import { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { vmUserOf } from "../vm/vm-directory.ts";
import { type VmId, vmPaths } from "../vm/vm-paths.ts";
import { adopt } from "./adopt.ts";
import { moveFormerVms } from "./move-former-vms.ts";
import { restoreNetwork } from "./restore-network.ts";
import { sweep } from "./sweep.ts";

const NOTHING = {
  adopted: 0,
  lost: 0,
  hostRestarted: 0,
  undone: 0,
  stopped: 0,
  deleted: 0,
  corrupt: 0,
  swept: 0,
  failed: 0,
  untouched: 0,
};

type Outcome = keyof typeof NOTHING;

/** Numbers of outcomes, for the log. */
export type RecoverySummary = Readonly<Record<Outcome, number>>;

/** Pause between attempts to take over a VM; doubles up to the maximum. */
const ADOPT_RETRY_MS = 500;
const MOST_ADOPT_RETRY_MS = 5000;

/** Recovers all sandboxes of the store. Never throws because of a single sandbox. */
export async function recover(ctx: NodeContext): Promise<RecoverySummary> {
  const counts = { ...NOTHING };
  await moveFormerVms(ctx);
  const entries: SandboxEntry[] = [];
  for (const loaded of ctx.store.loadSandboxes()) {
    if (loaded.kind === "corrupt") {
      const { sandboxId, vmId, error } = loaded;
      ctx.sandboxes.addCorrupt(sandboxId, error, { id: vmId, slot: await slotOf(ctx, vmId) });
      ctx.log.error({ sandbox: sandboxId, err: error }, "a sandbox's record cannot be read");
      counts.corrupt++;
      continue;
    }
    const entry = new SandboxEntry(loaded.record, ctx);
    ctx.sandboxes.add(entry);
    entries.push(entry);
  }
  await restoreNetwork(ctx, entries);
  const outcomes = await Promise.all(entries.map((entry) => recoverOne(ctx, entry)));
  for (const outcome of outcomes) counts[outcome]++;
  counts.swept = await sweep(ctx);
  return counts;
}

/** The slot of a sandbox whose record is lost, from the owner of its VM's directory. */
async function slotOf(ctx: NodeContext, vmId: VmId): Promise<number | undefined> {
  const uid = await vmUserOf(vmPaths(ctx.stateDir, vmId));
  return uid !== undefined && uid >= ctx.vmUidBase ? uid - ctx.vmUidBase : undefined;
}

async function recoverOne(ctx: NodeContext, entry: SandboxEntry): Promise<Outcome> {
  try {
    const { operations } = entry.record;
    if (operations.some(({ kind }) => kind === "stop") && machineOf(entry.record) !== undefined) {
      await finishStop(ctx, entry, ownerOf(ctx, entry));
      return "stopped";
    }
    return await recoverPhase(ctx, entry);
  } catch (error) {
    entry.log.error({ err: error }, "recovering a sandbox failed");
    return "failed";
  }
}

async function recoverPhase(ctx: NodeContext, entry: SandboxEntry): Promise<Outcome> {
  const { phase } = entry.record;
  switch (phase.kind) {
    case "creating":
      // No client has seen it: the same request creates it again.
      await deleteSandboxEntry(ctx, entry);
      return "undone";
    case "deleting":
      await deleteSandboxEntry(ctx, entry, phase.requestId);
      return "deleted";
    case "stopped":
      // Remains of an interrupted boot or stop.
      await releaseSandbox(ctx, entry, ownerOf(ctx, entry), "of-the-boot");
      await undoNoted(ctx, entry);
      return "untouched";
    case "ready":
    case "running":
    case "paused":
      return await recoverMachine(ctx, entry);
    default:
      return phase satisfies never;
  }
}

async function recoverMachine(ctx: NodeContext, entry: SandboxEntry): Promise<Outcome> {
  if (machineOf(entry.record)?.bootId !== ctx.bootId) {
    await giveUp(ctx, entry, "host_restart", "the host was rebooted");
    await undoNoted(ctx, entry);
    return "hostRestarted";
  }
  let isAdopted: boolean;
  try {
    isAdopted = await adopt(ctx, entry);
  } catch (error) {
    entry.log.error({ err: error }, "taking over a running VM failed, retrying");
    void adoptLater(ctx, entry);
    return "failed";
  }
  if (!isAdopted) await declareLost(ctx, entry);
  await undoNoted(ctx, entry);
  return isAdopted ? "adopted" : "lost";
}

async function declareLost(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  const kills = await ctx.cgroups.oomKills(entry.record.vm.id).catch(() => 0);
  const evidence = "the VM's process was gone when the daemon started";
  await giveUp(ctx, entry, kills > 0 ? "host_oom" : "vm_lost", evidence);
}

/**
 * Retries until the VM answers or is gone, or the sandbox is stopped or deleted, which needs no answer of the VM. Interrupted
 * operations are undone only then: their disks are in a VM that could not be asked to release them.
 */
async function adoptLater(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  const isLeft = () => entry.vm === undefined && machineOf(entry.record) !== undefined;
  let isOver = false;
  for (let pauseMs = ADOPT_RETRY_MS; !isOver; pauseMs = Math.min(pauseMs * 2, MOST_ADOPT_RETRY_MS)) {
    await pause(pauseMs, undefined, { ref: false });
    const options = { name: "take over the VM", signal: AbortSignal.timeout(MOST_ADOPT_RETRY_MS) };
    await ctx.lock
      .with(entry.sandboxId, options, async () => {
        if (ctx.sandboxes.find(entry.sandboxId) === entry) {
          if (isLeft() && !(await adopt(ctx, entry))) await declareLost(ctx, entry);
          await undoNoted(ctx, entry);
        }
        isOver = true;
      })
      .catch((error: unknown) => entry.log.debug({ err: error }, "the VM is not taken over yet"));
  }
}

async function giveUp(
  ctx: NodeContext,
  entry: SandboxEntry,
  cause: StopCause,
  evidence: string,
): Promise<void> {
  const end = { cause, evidence, nowMs: ctx.nowMs() };
  entry.update((record) => stopped(record, end));
  await releaseSandbox(ctx, entry, ownerOf(ctx, entry), "of-the-boot");
}
