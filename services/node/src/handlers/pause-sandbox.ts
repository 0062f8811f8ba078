import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { pauseSandboxEntry } from "../lifecycle/pause-sandbox.ts";
import { changedSandbox, locked, permits } from "./call.ts";

export const pauseSandbox = command(SandboxService.method.pauseSandbox, (ctx, { sandboxId }, call) =>
  locked(ctx, sandboxId, call, async (entry) => {
    if (permits(entry, "pause")) await pauseSandboxEntry(entry);
    return { sandbox: changedSandbox(ctx, entry) };
  }),
);
