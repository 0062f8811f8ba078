import { rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { releaseVm } from "./release-vm.ts";
import type { SandboxEntry } from "./sandbox-entry.ts";

/** What is to be recorded of the request, in the transaction that forgets the sandbox. */
export type RequestOutcome = { readonly requestId: string; readonly bytes: Uint8Array };

/**
 * Deletes a sandbox in whatever state, without asking its guest. Its record says `deleting` before anything is touched, so
 * that a crash on any line is finished at the next start. Needs the lock.
 */
export async function deleteSandboxEntry(
  ctx: NodeContext,
  entry: SandboxEntry,
  outcome?: RequestOutcome,
): Promise<void> {
  const machine = entry.attachment?.machine;
  entry.endExpected = true;
  entry.update((record) =>
    record.phase.kind === "deleting" ? record : { ...record, phase: { kind: "deleting" } },
  );
  entry.detach(new PaddockError("SANDBOX_NOT_FOUND", `sandbox ${entry.sandboxId} was deleted`));
  await releaseVm(ctx, entry, machine);
  await rm(entry.dir, { recursive: true, force: true });
  entry.remove(outcome);
  ctx.sandboxes.remove(entry.sandboxId);
}

/** After a failed creation: what could not be undone is deleted, and if that fails too, left for the next start. */
export async function forget(ctx: NodeContext, entry: SandboxEntry): Promise<void> {
  try {
    await deleteSandboxEntry(ctx, entry);
  } catch (error) {
    ctx.log.error(
      { sandbox: entry.sandboxId, err: error },
      "a failed creation left something; the next start tries again",
    );
  }
}
