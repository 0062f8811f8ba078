import { create, toBinary } from "@bufbuild/protobuf";
import {
  type ListNodesRequest,
  type ListNodesResponse,
  ListNodesResponseSchema,
  NodeSchema,
} from "@paddock/protocol";
import { afterIdOf, type CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listPage } from "../lists/list-on-nodes.ts";
import { nodeMessage } from "../nodes/node-message.ts";

/** Lists the nodes, by id, as their heartbeats describe them. */
export const listNodes =
  (api: ApiContext) =>
  async (request: ListNodesRequest, ctx: CallContext): Promise<ListNodesResponse> => {
    await api.sight.seen(ctx);
    const after = afterIdOf(request.pageToken);
    const records = api.nodes.all().filter(({ nodeId }) => nodeId > after);
    const { items: nodes, nextPageToken } = listPage(
      [{ items: records.map(nodeMessage), more: false }],
      request,
      { idOf: ({ nodeId }) => nodeId, bytesOf: (node) => toBinary(NodeSchema, node).length },
    );
    return create(ListNodesResponseSchema, { nodes, nextPageToken });
  };
