import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { shownSandbox } from "./call.ts";

/** Answers from the published snapshot, even while a call changes the sandbox. */
export const getSandbox = command(SandboxService.method.getSandbox, (ctx, { sandboxId }) => ({
  sandbox: shownSandbox(ctx, ctx.sandboxes.require(sandboxId)),
}));
