import type { CreateSandboxRequest, CreateSandboxResponse } from "@paddock/protocol";
import { createdBefore, createSandboxEntry } from "../lifecycle/create-sandbox.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { Answer } from "./answer.ts";
import { type Call, changedSandbox } from "./call.ts";

export async function createSandbox(
  ctx: NodeContext,
  request: CreateSandboxRequest,
  call: Call,
): Promise<Answer<CreateSandboxResponse>> {
  const known = createdBefore(ctx, request, call);
  if (known !== undefined) return { sandbox: changedSandbox(ctx, known) };
  const whenReady = async (entry: SandboxEntry) => ({ sandbox: changedSandbox(ctx, entry) });
  return await createSandboxEntry(ctx, request, { ...call, name: "CreateSandbox", whenReady });
}
