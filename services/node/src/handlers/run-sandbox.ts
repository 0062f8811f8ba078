import { PaddockError, withUnknownOutcome } from "@paddock/domain";
import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { createdBefore, createSandboxEntry } from "../lifecycle/create-sandbox.ts";
import { startSandboxEntry } from "../lifecycle/start-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { type Call, changedSandbox, locked } from "./call.ts";

export const runSandbox = command(SandboxService.method.runSandbox, async (ctx, request, call) => {
  const known = createdBefore(ctx, request, call);
  if (known !== undefined) return await finishRun(ctx, known, call);
  const whenReady = async (entry: SandboxEntry) => {
    await startSandboxEntry(ctx, entry, call.signal);
    return { sandbox: changedSandbox(ctx, entry) };
  };
  return await createSandboxEntry(ctx, request, { ...call, whenReady });
});

/**
 * Starts a sandbox that this request created before its daemon died. A sandbox that has already run is left unchanged, even if
 * it was stopped since, and so is one whose start fails: this call created none of it.
 */
async function finishRun(ctx: NodeContext, known: SandboxEntry, call: Call) {
  if (known.record.phase.kind !== "ready") return { sandbox: changedSandbox(ctx, known) };
  const { sandboxId } = known;
  try {
    return await locked(ctx, sandboxId, call, async (entry) => {
      if (entry !== known)
        throw new PaddockError(
          "SANDBOX_EXISTS",
          `another request created sandbox ${sandboxId} in the meantime`,
        );
      if (entry.record.phase.kind === "ready") await startSandboxEntry(ctx, entry, call.signal);
      return { sandbox: changedSandbox(ctx, entry) };
    });
  } catch (error) {
    // The sandbox still exists: after any other error the api would give up its id.
    throw withUnknownOutcome(error);
  }
}
