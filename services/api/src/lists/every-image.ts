import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type Image, ImageSchema, ImageService, ListImagesRequestSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "./ask-every-node.ts";
import { joinImages } from "./join-images.ts";
import { mergePages } from "./merge-pages.ts";

const PAGE_SIZE = 1000;

/** The images of all nodes, by id, each with the nodes that have it. Throws NODE_UNAVAILABLE when a node does not answer. */
export async function everyImage(api: ApiContext, ctx: CallContext): Promise<Image[]> {
  const images: Image[] = [];
  let after: string | undefined = "";
  while (after !== undefined) {
    const pageToken: string = after;
    const body = create(ListImagesRequestSchema, { pageSize: PAGE_SIZE, pageToken });
    const { answers, refusals, unreachable } = await askEveryNode(api, ctx, {
      method: ImageService.method.listImages,
      body,
    });
    if (refusals[0]) throw refusals[0].error;
    if (unreachable[0] !== undefined) {
      throw new PaddockError(
        "NODE_UNAVAILABLE",
        `${unreachable.join(", ")} did not answer which images it has`,
        {
          hint: "repeat the call when the node is back, or give the full id",
          metadata: { node_id: unreachable[0] },
        },
      );
    }
    const pages = answers.map(({ nodeId, answer }) => ({
      items: answer.images.map((image) => create(ImageSchema, { ...image, nodeIds: [nodeId] })),
      more: answer.nextPageToken !== "",
    }));
    const page = mergePages(pages, PAGE_SIZE, {
      idOf: ({ imageId }) => imageId,
      bytesOf: () => 0,
      join: joinImages,
    });
    images.push(...page.items);
    after = page.nextAfter;
  }
  return images;
}
