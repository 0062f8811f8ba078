import type { RunSandboxRequest, RunSandboxResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { createSandboxEntry } from "../sandboxes/create-sandbox-entry.ts";
import { forget } from "../sandboxes/delete-sandbox-entry.ts";
import { startSandboxEntry } from "../sandboxes/start-sandbox-entry.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox, locked } from "./call.ts";

export async function runSandbox(
  ctx: NodeContext,
  request: RunSandboxRequest,
  call: Call,
): Promise<Answer<RunSandboxResponse>> {
  const entry = await createSandboxEntry(ctx, request, { ...call, name: "RunSandbox" });
  try {
    await locked(ctx, entry.sandboxId, "RunSandbox", call, () => startSandboxEntry(ctx, entry, call.signal));
  } catch (error) {
    const options = { name: "undo of RunSandbox", signal: AbortSignal.timeout(60_000) };
    await ctx.lock.with(entry.sandboxId, "write", options, () => forget(ctx, entry));
    throw error;
  }
  return { sandbox: changedSandbox(ctx, entry) };
}
