import { type Image, ImageSchema, ImageService } from "@paddock/protocol";
import { command } from "../command.ts";
import { shownImage } from "../wire/shown-image.ts";
import { fillPage } from "./fill-page.ts";

/** A page in order of id. The token is the last id of the previous page. */
export const listImages = command(
  ImageService.method.listImages,
  async ({ images: store, nodeId }, { pageSize, pageToken }) => {
    const wanted = (await store.list())
      .filter(({ id }) => id > pageToken)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    const { items, nextPageToken } = fillPage(wanted, {
      schema: ImageSchema,
      pageSize,
      shown: (image) => shownImage(image, nodeId),
      reduced: withoutConfig,
      tokenOf: ({ imageId }) => imageId,
    });
    return { images: items, nextPageToken };
  },
);

const withoutConfig = ({ config: _, ...image }: Image): Image => image;
