import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type GetNodeRequest, type GetNodeResponse, GetNodeResponseSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { nodeMessage } from "../nodes/node-message.ts";

/** Reports one node, as its heartbeats tell. */
export const getNode =
  (api: ApiContext) =>
  async ({ nodeId }: GetNodeRequest, ctx: CallContext): Promise<GetNodeResponse> => {
    if (api.nodes.get(nodeId) === undefined) await api.sight.seen(ctx);
    const record = api.nodes.get(nodeId);
    if (record === undefined) {
      throw new PaddockError("NODE_NOT_FOUND", `there is no node ${nodeId}`, {
        metadata: { node_id: nodeId },
      });
    }
    return create(GetNodeResponseSchema, { node: nodeMessage(record) });
  };
