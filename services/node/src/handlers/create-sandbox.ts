import type { CreateSandboxRequest, CreateSandboxResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { createSandboxEntry } from "../sandboxes/create-sandbox-entry.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox } from "./call.ts";

export async function createSandbox(
  ctx: NodeContext,
  request: CreateSandboxRequest,
  call: Call,
): Promise<Answer<CreateSandboxResponse>> {
  const entry = await createSandboxEntry(ctx, request, { ...call, name: "CreateSandbox" });
  return { sandbox: changedSandbox(ctx, entry) };
}
