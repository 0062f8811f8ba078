import { create, toBinary } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type ListSandboxesRequest,
  ListSandboxesRequestSchema,
  type ListSandboxesResponse,
  ListSandboxesResponseSchema,
  SandboxSchema,
  SandboxService,
} from "@paddock/protocol";
import { afterIdOf, type CallContext, pageSizeOf, pageTokenAfter } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { mergePages } from "../lists/merge-pages.ts";

/** Lists the sandboxes of all nodes, by id. Nodes that do not answer are named, and do not fail the list. */
export const listSandboxes =
  (api: ApiContext) =>
  async (request: ListSandboxesRequest, ctx: CallContext): Promise<ListSandboxesResponse> => {
    const pageSize = pageSizeOf(request.pageSize);
    await api.sight.seen(ctx);
    const { nodeId } = request;
    if (nodeId !== "" && api.nodes.get(nodeId) === undefined) {
      throw new PaddockError("NODE_NOT_FOUND", `there is no node ${nodeId}`, {
        metadata: { node_id: nodeId },
      });
    }
    const body = create(ListSandboxesRequestSchema, {
      ...request,
      pageSize,
      pageToken: afterIdOf(request.pageToken),
    });
    const every = await askEveryNode(
      api,
      ctx,
      { method: SandboxService.method.listSandboxes, body },
      (record) => nodeId === "" || record.nodeId === nodeId,
    );
    if (every.refusals[0]) throw every.refusals[0].error;
    const pages = every.answers.map(({ answer }) => ({
      items: answer.sandboxes,
      more: answer.nextPageToken !== "",
    }));
    const { items, nextAfter } = mergePages(pages, pageSize, {
      idOf: ({ sandboxId }) => sandboxId,
      bytesOf: (sandbox) => toBinary(SandboxSchema, sandbox).length,
    });
    return create(ListSandboxesResponseSchema, {
      sandboxes: items,
      nextPageToken: nextAfter === undefined ? "" : pageTokenAfter(nextAfter),
      unreachableNodes: [...every.unreachable],
    });
  };
