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
 * Starts a sandbox that this very request has created and, its daemon having died, not started. One that has run is left as it is,
 * also when it was stopped since, and so is one whose start fails: none of it was made by this call.
 */
async function finishRun(ctx: NodeContext, known: SandboxEntry, call: Call) {
  if (known.record.phase.kind !== "ready") return { sandbox: changedSandbox(ctx, known) };
  const { sandboxId } = known;
  try {
    return await locked(ctx, sandboxId, call, async (entry) => {
      if (entry !== known)
        throw new PaddockError("SANDBOX_EXISTS", `another request has created sandbox ${sandboxId} since`);
      if (entry.record.phase.kind === "ready") await startSandboxEntry(ctx, entry, call.signal);
      return { sandbox: changedSandbox(ctx, entry) };
    });
  } catch (error) {
    // The sandbox is there all the same: the api gives its id up after any other error.
    throw withUnknownOutcome(error);
  }
}
