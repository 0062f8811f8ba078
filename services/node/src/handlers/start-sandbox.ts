import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { startSandboxEntry } from "../lifecycle/start-sandbox.ts";
import { changedSandbox, locked, permits } from "./call.ts";

export const startSandbox = command(SandboxService.method.startSandbox, (ctx, { sandboxId }, call) =>
  locked(ctx, sandboxId, call, async (entry) => {
    if (permits(entry, "start")) await startSandboxEntry(ctx, entry, call.signal);
    return { sandbox: changedSandbox(ctx, entry) };
  }),
);
