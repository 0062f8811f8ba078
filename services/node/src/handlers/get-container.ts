import type { GetContainerRequest, GetContainerResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { containerOfRecord } from "../wire/sandbox-status.ts";
import type { Answer } from "./answer.ts";
import { requireContainer } from "./call.ts";

/** Answers from the published snapshot, also while a call changes the sandbox. */
export function getContainer(
  ctx: NodeContext,
  { sandboxId, containerId }: GetContainerRequest,
): Answer<GetContainerResponse> {
  const entry = ctx.sandboxes.require(sandboxId);
  return { container: containerOfRecord(entry.record, requireContainer(entry, containerId), ctx.nodeId) };
}
