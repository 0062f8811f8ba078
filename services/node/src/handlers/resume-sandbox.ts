import type { ResumeSandboxRequest, ResumeSandboxResponse } from "@paddock/protocol";
import { resumeSandboxEntry } from "../lifecycle/pause-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox, locked, permits } from "./call.ts";

export async function resumeSandbox(
  ctx: NodeContext,
  { sandboxId }: ResumeSandboxRequest,
  call: Call,
): Promise<Answer<ResumeSandboxResponse>> {
  return await locked(ctx, sandboxId, "ResumeSandbox", call, async (entry) => {
    if (permits(entry, "resume")) await resumeSandboxEntry(ctx, entry);
    return { sandbox: changedSandbox(ctx, entry) };
  });
}
