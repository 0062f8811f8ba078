import type { PlacedSandbox } from "@paddock/bus";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askNode, type CommandAnswer, type CommandBody, type CommandName } from "../nodes/ask-node.ts";
import { isMisplaced, locateSandbox, settle } from "./locate-sandbox.ts";

type SandboxBody = { readonly sandboxId: string; readonly requestId?: string };

/** Commands about one sandbox: their body names it. */
export type SandboxCommand = {
  [C in CommandName]: CommandBody<C> extends SandboxBody ? C : never;
}[CommandName];

/**
 * Sends a command to the node that has the sandbox, and to another one when the registry meanwhile names another. Throws
 * `PaddockError` SANDBOX_NOT_FOUND, and what `askNode` throws.
 */
export async function askSandbox<C extends SandboxCommand>(
  api: ApiContext,
  ctx: CallContext,
  name: C,
  body: CommandBody<C> & SandboxBody,
): Promise<CommandAnswer<C>> {
  const placed = await locateSandbox(api, ctx, body.sandboxId);
  try {
    return await askPlaced(api, ctx, name, body, placed);
  } catch (error) {
    const elsewhere = isMisplaced(error) ? await settle(api, placed, error) : undefined;
    if (elsewhere === undefined) throw error;
    return askPlaced(api, ctx, name, body, elsewhere);
  }
}

const askPlaced = <C extends SandboxCommand>(
  api: ApiContext,
  ctx: CallContext,
  name: C,
  body: CommandBody<C> & SandboxBody,
  { placement }: PlacedSandbox,
): Promise<CommandAnswer<C>> =>
  askNode(api, ctx, {
    nodeId: placement.nodeId,
    name,
    body,
    sandboxId: body.sandboxId,
    generation: placement.generation,
    requestId: body.requestId,
  });

/** A handler that forwards its request to the sandbox's node and answers what the node answers. */
export const forwardToSandbox =
  <C extends SandboxCommand>(name: C) =>
  (api: ApiContext) =>
  (request: CommandBody<C> & SandboxBody, ctx: CallContext): Promise<CommandAnswer<C>> =>
    askSandbox(api, ctx, name, request);
