import { type DeleteSandboxRequest, type DeleteSandboxResponse, SandboxService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { askSandbox } from "../sandboxes/ask-sandbox.ts";
import { noSandbox } from "../sandboxes/locate-sandbox.ts";

const METHOD = SandboxService.method.deleteSandbox;

/** Removes a sandbox, and its id from the registry. */
export const deleteSandbox =
  (api: ApiContext) =>
  async (request: DeleteSandboxRequest, ctx: CallContext): Promise<DeleteSandboxResponse> => {
    const placed = await api.placements.read(request.sandboxId);
    if (placed === undefined) return notPlaced(api, ctx, request);
    const response = await askSandbox(api, ctx, METHOD, request);
    await api.placements.release(placed);
    return response;
  };

/** The registry has no such sandbox, unless it has been lost and knows it by now. */
async function notPlaced(
  api: ApiContext,
  ctx: CallContext,
  request: DeleteSandboxRequest,
): Promise<DeleteSandboxResponse> {
  await api.sight.seen(ctx);
  const placed = await api.placements.read(request.sandboxId);
  if (placed === undefined) return deletedBefore(api, ctx, request);
  const response = await askSandbox(api, ctx, METHOD, request);
  await api.placements.release(placed);
  return response;
}

/** The registry has no such sandbox. If it was deleted by this very request, the node that did it remembers. */
async function deletedBefore(
  api: ApiContext,
  ctx: CallContext,
  body: DeleteSandboxRequest,
): Promise<DeleteSandboxResponse> {
  const { answers } = await askEveryNode(api, ctx, { method: METHOD, body });
  const first = answers[0];
  if (first === undefined) throw noSandbox(body.sandboxId);
  return first.answer;
}
