import type { PauseSandboxRequest, PauseSandboxResponse } from "@paddock/protocol";
import { pauseSandboxEntry } from "../lifecycle/pause-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox, locked, permits } from "./call.ts";

export async function pauseSandbox(
  ctx: NodeContext,
  { sandboxId }: PauseSandboxRequest,
  call: Call,
): Promise<Answer<PauseSandboxResponse>> {
  return await locked(ctx, sandboxId, "PauseSandbox", call, async (entry) => {
    if (permits(entry, "pause")) await pauseSandboxEntry(ctx, entry);
    return { sandbox: changedSandbox(ctx, entry) };
  });
}
