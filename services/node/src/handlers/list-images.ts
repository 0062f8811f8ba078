import type { ListImagesRequest, ListImagesResponse } from "@paddock/protocol";
import { shownImage } from "../containers/shown-image.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";

const DEFAULT_PAGE_SIZE = 100;

/** A page by id; the token is the last id of the page before. */
export async function listImages(
  { images, nodeId }: NodeContext,
  { pageSize, pageToken }: ListImagesRequest,
): Promise<Answer<ListImagesResponse>> {
  const all = (await images.list()).filter(({ id }) => id > pageToken).sort((a, b) => (a.id < b.id ? -1 : 1));
  const page = all.slice(0, pageSize || DEFAULT_PAGE_SIZE);
  return {
    images: page.map((image) => shownImage(image, nodeId)),
    nextPageToken: page.length < all.length ? (page.at(-1)?.id ?? "") : "",
  };
}
