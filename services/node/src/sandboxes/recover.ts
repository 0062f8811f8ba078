/**
 * What a daemon does at its start with what an earlier one left: takes over the VMs that live, says of the others why they are
 * gone, finishes deletions, undoes what was under way, and sweeps what no record owns. One sandbox that makes trouble
 * holds up no other: all go side by side, each with a budget of time.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { undoSteps } from "@paddock/lifecycle";
import { CONTAINER_STEPS } from "../containers/create-container-entry.ts";
import { UPDATE_STEPS, updateScope } from "../containers/update-container-entry.ts";
import { vmUserOf } from "../machine/vm-directory.ts";
import type { NodeContext } from "../node-context.ts";
import type { UnfinishedOperation } from "../store/node-store.ts";
import { adopt } from "./adopt.ts";
import { undoBringUp, undoing } from "./bring-up.ts";
import { deleteSandboxEntry } from "./delete-sandbox-entry.ts";
import { releaseVm } from "./release-vm.ts";
import type { SandboxEntry } from "./sandbox-entry.ts";
import { hostName, pathsOfName, sandboxesDir, sandboxPaths } from "./sandbox-paths.ts";
import { machineOf, type SandboxRecord, type StopCause, withContainersStopped } from "./sandbox-record.ts";
import { finishStop, STOP_SCOPE } from "./stop-sandbox-entry.ts";
import { unfinishedContainer } from "./unfinished-container.ts";

/** What was done, for the log. */
export type RecoverySummary = {
  readonly adopted: number;
  readonly lost: number;
  readonly hostRestarted: number;
  readonly undone: number;
  readonly stopped: number;
  readonly deleted: number;
  readonly corrupt: number;
  readonly swept: number;
  readonly failed: number;
};

type Outcome = keyof RecoverySummary | "untouched";

const SWEEP_TIMEOUT_MS = 30_000;
/** Between two tries to take a VM over; doubles up to the most. */
const ADOPT_RETRY_MS = 500;
const MOST_ADOPT_RETRY_MS = 5000;

/** Brings the node's sandboxes from the store to life. Never throws for one of them. */
export async function recover(ctx: NodeContext): Promise<RecoverySummary> {
  const counts: Record<Outcome, number> = {
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
  const entries: SandboxEntry[] = [];
  for (const loaded of ctx.store.loadSandboxes()) {
    if (loaded.kind === "corrupt") {
      ctx.sandboxes.addCorrupt(loaded.sandboxId, loaded.error, await slotOf(ctx, loaded.sandboxId));
      ctx.log.error({ sandbox: loaded.sandboxId, err: loaded.error }, "a sandbox's record cannot be read");
      counts.corrupt++;
      continue;
    }
    const entry = ctx.newEntry(loaded.record, true);
    ctx.sandboxes.add(entry);
    entries.push(entry);
  }
  const unfinished = Map.groupBy(ctx.store.unfinished(), ({ sandboxId }) => sandboxId);
  const outcomes = await Promise.all(
    entries.map((entry) => recoverOne(ctx, entry, unfinished.get(entry.sandboxId) ?? [])),
  );
  for (const outcome of outcomes) counts[outcome]++;
  counts.swept = await sweep(ctx);
  return counts;
}

/** The slot of a sandbox whose record is lost: its VM's directory tells the VM's user. */
async function slotOf(ctx: NodeContext, sandboxId: string): Promise<number | undefined> {
  const uid = await vmUserOf(sandboxPaths(ctx.stateDir, sandboxId));
  return uid !== undefined && uid >= ctx.vmUidBase ? uid - ctx.vmUidBase : undefined;
}

async function recoverOne(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<Outcome> {
  try {
    if (unfinished.some(({ scope }) => scope === "boot"))
      await undoBringUp("boot", { node: ctx, entry, images: new Map() });
    if (unfinished.some(({ scope }) => scope === STOP_SCOPE) && machineOf(entry.record) !== undefined) {
      await finishStop(ctx, entry);
      return "stopped";
    }
    return await recoverPhase(ctx, entry, unfinished);
  } catch (error) {
    ctx.log.error({ sandbox: entry.sandboxId, err: error }, "a sandbox could not be recovered as it should");
    return "failed";
  }
}

async function recoverPhase(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<Outcome> {
  const { phase } = entry.record;
  switch (phase.kind) {
    case "creating":
      // Nobody was ever told of it: the same request will create it anew.
      await deleteSandboxEntry(ctx, entry);
      return "undone";
    case "deleting":
      await deleteSandboxEntry(ctx, entry, phase.requestId);
      return "deleted";
    case "stopped":
      // Whatever a stop that was cut short has left.
      await releaseVm(ctx, entry);
      await undoUnfinished(ctx, entry, unfinished);
      return "untouched";
    case "ready":
    case "running":
    case "paused":
      return await recoverMachine(ctx, entry, unfinished);
    default:
      return phase satisfies never;
  }
}

async function recoverMachine(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<Outcome> {
  if (machineOf(entry.record)?.bootId !== ctx.bootId) {
    await giveUp(ctx, entry, "host_restart", "the host was booted again");
    await undoUnfinished(ctx, entry, unfinished);
    return "hostRestarted";
  }
  let isAdopted: boolean;
  try {
    isAdopted = await adopt(ctx, entry);
  } catch (error) {
    ctx.log.error(
      { sandbox: entry.sandboxId, err: error },
      "a VM runs and could not be taken over, trying on",
    );
    void adoptLater(ctx, entry, unfinished);
    return "failed";
  }
  if (!isAdopted) await declareLost(ctx, entry);
  await undoUnfinished(ctx, entry, unfinished);
  return isAdopted ? "adopted" : "lost";
}

async function declareLost(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  const kills = await ctx.cgroups.oomKills(entry.paths.name).catch(() => 0);
  const evidence = "the VM's process was gone when the daemon came back";
  await giveUp(ctx, entry, kills > 0 ? "host_oom" : "vm_lost", evidence);
}

/**
 * Tries until the VM answers, is gone, or was stopped or deleted meanwhile, which needs no answer of it. What was cut short in it is
 * undone then and not before: its disks are in a VM that could not be asked to let go of them.
 */
async function adoptLater(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<void> {
  const isLeft = () => entry.attachment === undefined && machineOf(entry.record) !== undefined;
  let isOver = false;
  for (let pauseMs = ADOPT_RETRY_MS; !isOver; pauseMs = Math.min(pauseMs * 2, MOST_ADOPT_RETRY_MS)) {
    await pause(pauseMs, undefined, { ref: false });
    const options = { name: "take over the VM", signal: AbortSignal.timeout(MOST_ADOPT_RETRY_MS) };
    await ctx.lock
      .with(entry.sandboxId, "write", options, async () => {
        if (ctx.sandboxes.find(entry.sandboxId) === entry) {
          if (isLeft() && !(await adopt(ctx, entry))) await declareLost(ctx, entry);
          await undoUnfinished(ctx, entry, unfinished);
        }
        isOver = true;
      })
      .catch((error: unknown) =>
        ctx.log.debug({ sandbox: entry.sandboxId, err: error }, "not taken over yet"),
      );
  }
}

async function giveUp(
  ctx: NodeContext,
  entry: SandboxEntry,
  cause: StopCause,
  evidence: string,
): Promise<void> {
  const nowMs = ctx.nowMs();
  entry.update(
    (record): SandboxRecord => ({
      ...withContainersStopped(record, cause, nowMs),
      phase: {
        kind: "stopped",
        cause,
        evidence,
        ...("startedAtMs" in record.phase &&
          record.phase.startedAtMs !== undefined && { startedAtMs: record.phase.startedAtMs }),
        stoppedAtMs: nowMs,
      },
    }),
  );
  await releaseVm(ctx, entry);
}

async function undoUnfinished(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<void> {
  await undoContainers(ctx, entry, unfinished);
  await undoUpdates(ctx, entry, unfinished);
}

/** Containers whose creation was cut short; after the VM was taken over, as their disks must be unplugged. */
async function undoContainers(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<void> {
  for (const { scope, steps } of unfinished) {
    const container = unfinishedContainer(scope);
    if (container === undefined) continue;
    // One that was created since has its place, and all that was left in it.
    if (entry.record.containers.some(({ index }) => index === container.index)) {
      for (const step of steps) ctx.store.journal(entry.sandboxId, scope).remove(step);
      continue;
    }
    const begun = CONTAINER_STEPS.filter(({ name }) => steps.includes(name));
    const birth = { node: ctx, entry, container, image: undefined };
    await undoSteps(begun, birth, undoing(ctx, entry.sandboxId, scope));
  }
}

/** Updates that were cut short: what the record says is made to be in force again. */
async function undoUpdates(
  ctx: NodeContext,
  entry: SandboxEntry,
  unfinished: readonly UnfinishedOperation[],
): Promise<void> {
  for (const { scope, steps } of unfinished) {
    const container = entry.record.containers.find(({ containerId }) => updateScope(containerId) === scope);
    if (container === undefined) continue;
    const begun = UPDATE_STEPS.filter(({ name }) => steps.includes(name));
    await undoSteps(begun, { node: ctx, entry, container }, undoing(ctx, entry.sandboxId, scope));
  }
}

/** Ends and removes what carries a sandbox's name and belongs to none: of this state directory alone. */
async function sweep(ctx: NodeContext): Promise<number> {
  const owned = new Set(
    [...ctx.sandboxes.list().map(({ sandboxId }) => sandboxId), ...ctx.sandboxes.corruptIds].map(hostName),
  );
  const base = sandboxesDir(ctx.stateDir);
  const directories = (await readdir(base).catch(() => [])).filter((name) => /^[0-9a-f]{16}$/.test(name));
  const running = (await ctx.machines.running()).map((dir) => dir.slice(base.length + 1));
  const strays = new Set(
    [...directories, ...running, ...(await ctx.cgroups.list())].filter((name) => !owned.has(name)),
  );
  let swept = 0;
  for (const name of strays) {
    const paths = pathsOfName(ctx.stateDir, name);
    const signal = AbortSignal.timeout(SWEEP_TIMEOUT_MS);
    try {
      await ctx.machines.killStrays(paths, signal);
      await ctx.cgroups.remove(name, signal);
      await rm(join(base, name), { recursive: true, force: true });
      ctx.log.warn({ name }, "swept what no sandbox owns");
      swept++;
    } catch (error) {
      ctx.log.error({ name, err: error }, "a stray could not be swept");
    }
  }
  return swept;
}
