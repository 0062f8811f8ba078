import { rm } from "node:fs/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { type DeleteSandboxRequest, type DeleteSandboxResponse, nodepb } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { deleteSandboxEntry, type RequestOutcome } from "../sandboxes/delete-sandbox-entry.ts";
import { sandboxPaths } from "../sandboxes/sandbox-paths.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permits } from "./call.ts";

export async function deleteSandbox(
  ctx: NodeContext,
  { sandboxId, force }: DeleteSandboxRequest,
  call: Call,
): Promise<Answer<DeleteSandboxResponse>> {
  const outcome = { requestId: call.requestId, bytes: deleted() };
  if (force && ctx.sandboxes.corruptIds.includes(sandboxId)) {
    await deleteUnreadable(ctx, sandboxId, outcome);
    return {};
  }
  await locked(ctx, sandboxId, "DeleteSandbox", call, async (entry) => {
    permits(entry, force ? "force_delete" : "delete");
    await deleteSandboxEntry(ctx, entry, outcome);
  });
  return {};
}

/** All that a sandbox has of its host follows from its id, so one whose record cannot be read can still be deleted. */
async function deleteUnreadable(ctx: NodeContext, sandboxId: string, outcome: RequestOutcome): Promise<void> {
  const paths = sandboxPaths(ctx.stateDir, sandboxId);
  const signal = AbortSignal.timeout(30_000);
  await ctx.machines.killStrays(paths, signal);
  await ctx.cgroups.remove(paths.name, signal);
  await rm(paths.dir, { recursive: true, force: true });
  ctx.store.removeSandbox(sandboxId, outcome);
  ctx.sandboxes.remove(sandboxId);
}

/** Recorded together with the deletion, so that repeating the request succeeds even after a crash. */
const deleted = (): Uint8Array =>
  toBinary(
    nodepb.CommandResponseSchema,
    create(nodepb.CommandResponseSchema, { outcome: { case: "deleteSandbox", value: {} } }),
  );
