import type { DeleteContainerRequest, DeleteContainerResponse } from "@paddock/protocol";
import { deleteContainerEntry } from "../lifecycle/delete-container.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, locked, permitsContainer, requireContainer } from "./call.ts";

export async function deleteContainer(
  ctx: NodeContext,
  { sandboxId, containerId, force }: DeleteContainerRequest,
  call: Call,
): Promise<Answer<DeleteContainerResponse>> {
  return await locked(ctx, sandboxId, "DeleteContainer", call, async (entry) => {
    permitsContainer(entry, containerId, force ? "force_delete" : "delete");
    await deleteContainerEntry(ctx, entry, requireContainer(entry, containerId), call);
    return {};
  });
}
