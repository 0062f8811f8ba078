import { create, toBinary } from "@bufbuild/protobuf";
import {
  ImageSchema,
  ImageService,
  type ListImagesRequest,
  ListImagesRequestSchema,
  type ListImagesResponse,
  ListImagesResponseSchema,
} from "@paddock/protocol";
import { afterIdOf, type CallContext, pageSizeOf, pageTokenAfter } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { joinImages } from "../lists/join-images.ts";
import { mergePages } from "../lists/merge-pages.ts";

/**
 * Lists the images of all nodes, by id; one that several nodes have is listed once. Nodes that do not answer are named, and do not
 * fail the list.
 */
export const listImages =
  (api: ApiContext) =>
  async (request: ListImagesRequest, ctx: CallContext): Promise<ListImagesResponse> => {
    const pageSize = pageSizeOf(request.pageSize);
    await api.sight.seen(ctx);
    const body = create(ListImagesRequestSchema, {
      ...request,
      pageSize,
      pageToken: afterIdOf(request.pageToken),
    });
    const { answers, refusals, unreachable } = await askEveryNode(api, ctx, {
      method: ImageService.method.listImages,
      body,
    });
    if (refusals[0]) throw refusals[0].error;
    const pages = answers.map(({ nodeId, answer }) => ({
      items: answer.images.map((image) => create(ImageSchema, { ...image, nodeIds: [nodeId] })),
      more: answer.nextPageToken !== "",
    }));
    const { items, nextAfter } = mergePages(pages, pageSize, {
      idOf: ({ imageId }) => imageId,
      bytesOf: (image) => toBinary(ImageSchema, image).length,
      join: joinImages,
    });
    return create(ListImagesResponseSchema, {
      images: items,
      nextPageToken: nextAfter === undefined ? "" : pageTokenAfter(nextAfter),
      unreachableNodes: [...unreachable],
    });
  };
