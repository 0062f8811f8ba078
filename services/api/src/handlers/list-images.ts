import { create } from "@bufbuild/protobuf";
import { type ListImagesRequest, type ListImagesResponse, ListImagesResponseSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listImagesOnNodes } from "../lists/list-images-on-nodes.ts";

/** Lists the images of all nodes. */
export const listImages =
  (api: ApiContext) =>
  async (request: ListImagesRequest, ctx: CallContext): Promise<ListImagesResponse> => {
    const { items: images, ...page } = await listImagesOnNodes(api, ctx, request);
    return create(ListImagesResponseSchema, { images, ...page });
  };
