import type { ResumeSandboxRequest, ResumeSandboxResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox, locked, permits } from "./call.ts";

export async function resumeSandbox(
  ctx: NodeContext,
  { sandboxId }: ResumeSandboxRequest,
  call: Call,
): Promise<Answer<ResumeSandboxResponse>> {
  return await locked(ctx, sandboxId, "ResumeSandbox", call, async (entry) => {
    if (permits(entry, "resume")) {
      await entry.attachment?.machine.resume(call.signal);
      entry.update((record) =>
        record.phase.kind === "paused" ? { ...record, phase: { ...record.phase, kind: "running" } } : record,
      );
    }
    return { sandbox: changedSandbox(ctx, entry) };
  });
}
