import type { StartSandboxRequest, StartSandboxResponse } from "@paddock/protocol";
import { startSandboxEntry } from "../lifecycle/start-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox, locked, permits } from "./call.ts";

export async function startSandbox(
  ctx: NodeContext,
  { sandboxId }: StartSandboxRequest,
  call: Call,
): Promise<Answer<StartSandboxResponse>> {
  return await locked(ctx, sandboxId, "StartSandbox", call, async (entry) => {
    if (permits(entry, "start")) await startSandboxEntry(ctx, entry, call.signal);
    return { sandbox: changedSandbox(ctx, entry) };
  });
}
