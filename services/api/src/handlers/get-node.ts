import { create } from "@bufbuild/protobuf";
import { type GetNodeRequest, type GetNodeResponse, GetNodeResponseSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { nodeMessage, noNode } from "../nodes/node-message.ts";

/** Reports one node, as its heartbeats describe it. */
export const getNode =
  (api: ApiContext) =>
  async ({ nodeId }: GetNodeRequest, ctx: CallContext): Promise<GetNodeResponse> => {
    if (api.nodes.get(nodeId) === undefined) await api.sight.seen(ctx);
    const record = api.nodes.get(nodeId);
    if (record === undefined) throw noNode(nodeId);
    return create(GetNodeResponseSchema, { node: nodeMessage(record) });
  };
