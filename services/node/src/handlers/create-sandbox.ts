import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { createdBefore, createSandboxEntry } from "../lifecycle/create-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { changedSandbox } from "./call.ts";

export const createSandbox = command(SandboxService.method.createSandbox, async (ctx, request, call) => {
  const known = createdBefore(ctx, request, call);
  if (known !== undefined) return { sandbox: changedSandbox(ctx, known) };
  const whenReady = async (entry: SandboxEntry) => ({ sandbox: changedSandbox(ctx, entry) });
  return await createSandboxEntry(ctx, request, { ...call, whenReady });
});
