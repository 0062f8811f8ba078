import { create, toBinary } from "@bufbuild/protobuf";
import {
  type ListNodesRequest,
  type ListNodesResponse,
  ListNodesResponseSchema,
  NodeSchema,
} from "@paddock/protocol";
import { afterIdOf, type CallContext, pageSizeOf, pageTokenAfter } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { mergePages } from "../lists/merge-pages.ts";
import { nodeMessage } from "../nodes/node-message.ts";

/** Lists the nodes, by id, as their heartbeats tell. */
export const listNodes =
  (api: ApiContext) =>
  async (request: ListNodesRequest, ctx: CallContext): Promise<ListNodesResponse> => {
    await api.sight.seen(ctx);
    const after = afterIdOf(request.pageToken);
    const nodes = api.nodes
      .all()
      .filter(({ nodeId }) => nodeId > after)
      .map(nodeMessage);
    const { items, nextAfter } = mergePages([{ items: nodes, more: false }], pageSizeOf(request.pageSize), {
      idOf: ({ nodeId }) => nodeId,
      bytesOf: (node) => toBinary(NodeSchema, node).length,
    });
    return create(ListNodesResponseSchema, {
      nodes: items,
      nextPageToken: nextAfter === undefined ? "" : pageTokenAfter(nextAfter),
    });
  };
