import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { resumeSandboxEntry } from "../lifecycle/pause-sandbox.ts";
import { changedSandbox, locked, permits } from "./call.ts";

export const resumeSandbox = command(SandboxService.method.resumeSandbox, (ctx, { sandboxId }, call) =>
  locked(ctx, sandboxId, call, async (entry) => {
    if (permits(entry, "resume")) await resumeSandboxEntry(ctx, entry);
    return { sandbox: changedSandbox(ctx, entry) };
  }),
);
