import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { PlacedSandbox } from "@paddock/bus";
import type { CallContext } from "@paddock/rpc";
import { askNode } from "../nodes/ask-node.ts";
import { isMisplaced, locateSandbox, settle } from "./locate-sandbox.ts";
import type { PlacementContext } from "./placement-context.ts";

/**
 * Sends a command to the node that has the sandbox, and to another one if the registry names another in the meantime. Throws
 * `PaddockError` SANDBOX_NOT_FOUND, and the errors of `askNode`.
 */
export async function askSandbox<I extends DescMessage, O extends DescMessage>(
  api: PlacementContext,
  ctx: CallContext,
  method: DescMethodUnary<I, O>,
  body: MessageShape<I> & { readonly sandboxId: string },
): Promise<MessageShape<O>> {
  const askPlaced = ({ placement: { nodeId, generation } }: PlacedSandbox) =>
    askNode(api, ctx, { nodeId, method, body, generation });
  const placed = await locateSandbox(api, ctx, body.sandboxId);
  try {
    return await askPlaced(placed);
  } catch (error) {
    const elsewhere = isMisplaced(error) ? await settle(api, placed, error) : undefined;
    if (elsewhere === undefined) throw error;
    return askPlaced(elsewhere);
  }
}
