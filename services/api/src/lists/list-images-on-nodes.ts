import { create, toBinary } from "@bufbuild/protobuf";
import { type Image, ImageSchema, ImageService, type ListImagesRequest } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { joinImages } from "./join-images.ts";
import { listOnNodes } from "./list-on-nodes.ts";

/** One page of the images of all nodes, by id. An image of several nodes is listed once, with these nodes. */
export const listImagesOnNodes = (api: ApiContext, ctx: CallContext, request: ListImagesRequest) =>
  listOnNodes(api, ctx, request, {
    method: ImageService.method.listImages,
    pageOf: ({ images, nextPageToken }, nodeId) => ({
      items: images.map((image): Image => create(ImageSchema, { ...image, nodeIds: [nodeId] })),
      more: nextPageToken !== "",
    }),
    idOf: ({ imageId }) => imageId,
    bytesOf: (image) => toBinary(ImageSchema, image).length,
    join: joinImages,
  });
