import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { stopSandboxEntry } from "../lifecycle/stop-sandbox.ts";
import { changedSandbox, locked, permits } from "./call.ts";
import { graceOf } from "./grace.ts";

export const stopSandbox = command(
  SandboxService.method.stopSandbox,
  (ctx, { sandboxId, grace, force }, call) =>
    locked(ctx, sandboxId, call, async (entry) => {
      const graceMs = graceOf(grace, call.deadline, ctx.nowMs());
      if (permits(entry, "stop")) await stopSandboxEntry(ctx, entry, { graceMs, force });
      return { sandbox: changedSandbox(ctx, entry) };
    }),
);
