import { type GetVolumeRequest, type GetVolumeResponse, VolumeService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { nodeOfVolume } from "../lists/find-volume.ts";
import { askNode } from "../nodes/ask-node.ts";

/** Reports one volume. Throws VOLUME_NOT_FOUND, or NODE_UNAVAILABLE if a node that does not answer may have it. */
export const getVolume =
  (api: ApiContext) =>
  async (body: GetVolumeRequest, ctx: CallContext): Promise<GetVolumeResponse> => {
    const nodeId = await nodeOfVolume(api, ctx, body.name);
    return await askNode(api, ctx, { nodeId, method: VolumeService.method.getVolume, body });
  };
