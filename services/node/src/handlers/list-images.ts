import { type Image, ImageSchema, type ListImagesRequest, type ListImagesResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { shownImage } from "../wire/shown-image.ts";
import type { Answer } from "./answer.ts";
import { fillPage } from "./fill-page.ts";

/** A page by id; the token is the last id of the page before. */
export async function listImages(
  { images, nodeId }: Pick<NodeContext, "images" | "nodeId">,
  { pageSize, pageToken }: Pick<ListImagesRequest, "pageSize" | "pageToken">,
): Promise<Answer<ListImagesResponse>> {
  const wanted = (await images.list())
    .filter(({ id }) => id > pageToken)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const { items, hasNext } = fillPage(wanted, {
    schema: ImageSchema,
    pageSize,
    shown: (image) => shownImage(image, nodeId),
    reduced: withoutConfig,
  });
  return {
    images: items,
    nextPageToken: hasNext ? (items.at(-1)?.imageId ?? "") : "",
    unreachableNodes: [],
  };
}

const withoutConfig = ({ config: _, ...image }: Image): Image => image;
