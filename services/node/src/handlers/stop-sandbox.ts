import type { StopSandboxRequest, StopSandboxResponse } from "@paddock/protocol";
import { stopSandboxEntry } from "../lifecycle/stop-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox, locked, permits } from "./call.ts";
import { graceOf } from "./grace.ts";

export async function stopSandbox(
  ctx: NodeContext,
  { sandboxId, grace, force }: StopSandboxRequest,
  call: Call,
): Promise<Answer<StopSandboxResponse>> {
  return await locked(ctx, sandboxId, "StopSandbox", call, async (entry) => {
    const graceMs = graceOf(grace, call.deadline, ctx.nowMs());
    if (permits(entry, "stop")) await stopSandboxEntry(ctx, entry, { graceMs, force });
    return { sandbox: changedSandbox(ctx, entry) };
  });
}
