import { type ResizeVolumeRequest, type ResizeVolumeResponse, VolumeService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { nodeOfVolume } from "../lists/find-volume.ts";
import { askNode } from "../nodes/ask-node.ts";

/** Makes a volume larger, on its node. */
export const resizeVolume =
  (api: ApiContext) =>
  async (body: ResizeVolumeRequest, ctx: CallContext): Promise<ResizeVolumeResponse> => {
    const nodeId = await nodeOfVolume(api, ctx, body.name);
    return await askNode(api, ctx, { nodeId, method: VolumeService.method.resizeVolume, body });
  };
