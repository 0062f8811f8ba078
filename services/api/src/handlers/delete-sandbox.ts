import { type DeleteSandboxRequest, type DeleteSandboxResponse, SandboxService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { askSandbox } from "../sandboxes/ask-sandbox.ts";
import { noSandbox } from "../sandboxes/locate-sandbox.ts";

const METHOD = SandboxService.method.deleteSandbox;

/** Deletes a sandbox, and removes its id from the registry. */
export const deleteSandbox =
  (api: ApiContext) =>
  async (request: DeleteSandboxRequest, ctx: CallContext): Promise<DeleteSandboxResponse> => {
    let placed = await api.placements.read(request.sandboxId);
    if (placed === undefined) {
      // After the registry was lost, the sandbox may not have been claimed again yet.
      await api.sight.seen(ctx);
      placed = await api.placements.read(request.sandboxId);
    }
    if (placed === undefined) return deletedBefore(api, ctx, request);
    const response = await askSandbox(api, ctx, METHOD, request);
    await api.placements.release(placed);
    return response;
  };

/** The registry has no such sandbox. If this very request deleted it earlier, the node that deleted it still knows the answer. */
async function deletedBefore(
  api: ApiContext,
  ctx: CallContext,
  body: DeleteSandboxRequest,
): Promise<DeleteSandboxResponse> {
  const { answers } = await askEveryNode(api, ctx, { method: METHOD, body });
  const [first] = answers;
  if (first === undefined) throw noSandbox(body.sandboxId);
  return first.answer;
}
