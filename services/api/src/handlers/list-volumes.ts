import { create } from "@bufbuild/protobuf";
import {
  type ListVolumesRequest,
  type ListVolumesResponse,
  ListVolumesResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listVolumesOnNodes } from "../lists/list-volumes-on-nodes.ts";

/** Lists the volumes of all nodes. */
export const listVolumes =
  (api: ApiContext) =>
  async (request: ListVolumesRequest, ctx: CallContext): Promise<ListVolumesResponse> => {
    const { items: volumes, ...page } = await listVolumesOnNodes(api, ctx, request);
    return create(ListVolumesResponseSchema, { volumes, ...page });
  };
