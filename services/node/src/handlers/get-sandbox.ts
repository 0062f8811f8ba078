import type { GetSandboxRequest, GetSandboxResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { shownSandbox } from "./call.ts";

/** Answers from the published snapshot, also while a call changes the sandbox. */
export function getSandbox(ctx: NodeContext, { sandboxId }: GetSandboxRequest): Answer<GetSandboxResponse> {
  return { sandbox: shownSandbox(ctx, ctx.sandboxes.require(sandboxId)) };
}
