/** How a sandbox comes up: the list of steps, for a new one and for one that was stopped. */
import { runSteps, undoSteps } from "@paddock/lifecycle";
import type { NodeContext } from "../node-context.ts";
import type { Boot, BootStep } from "./steps/boot-context.ts";
import { cgroup } from "./steps/cgroup.ts";
import { containers } from "./steps/containers.ts";
import { directories } from "./steps/directories.ts";
import { guest } from "./steps/guest.ts";
import { limits } from "./steps/limits.ts";
import { machine } from "./steps/machine.ts";
import { writableLayers } from "./steps/writable-layers.ts";

const BOOT: readonly BootStep[] = [cgroup, machine, guest, containers, limits];

/** Operations that the journal tells apart. */
export const BRING_UP_STEPS = {
  create: [directories, writableLayers, ...BOOT],
  boot: BOOT,
} as const satisfies Record<string, readonly BootStep[]>;

export type BringUp = keyof typeof BRING_UP_STEPS;

const UNDO_TIMEOUT_MS = 20_000;

/**
 * Runs the steps, then `commit`, which records the outcome and ends the journal of `kind`. On failure of either, undoes all
 * and throws.
 */
export async function bringUp(
  kind: BringUp,
  boot: Boot,
  signal: AbortSignal,
  commit: () => void,
): Promise<void> {
  const { node, entry } = boot;
  await runSteps(BRING_UP_STEPS[kind], boot, {
    ...undoing(node, entry.sandboxId, kind),
    signal,
    onStep: (step, durationMs) =>
      node.log.debug({ sandbox: entry.sandboxId, step, durationMs: Math.round(durationMs) }, "step done"),
  });
  try {
    commit();
  } catch (error) {
    await undoBringUp(kind, boot);
    throw error;
  }
}

/** Undoes every step of a bring-up that may have been begun. Returns the steps whose undo failed. */
export async function undoBringUp(kind: BringUp, boot: Boot): Promise<string[]> {
  return undoSteps<Boot>(BRING_UP_STEPS[kind], boot, undoing(boot.node, boot.entry.sandboxId, kind));
}

/** How undos of an operation on a sandbox are noted and reported. */
export function undoing(node: NodeContext, sandboxId: string, scope: string) {
  return {
    journal: node.store.journal(sandboxId, scope),
    undoTimeoutMs: UNDO_TIMEOUT_MS,
    onUndoFailed: (step: string, error: unknown) =>
      node.log.error(
        { sandbox: sandboxId, scope, step, err: error },
        "an undo failed; the next start tries again",
      ),
  };
}
