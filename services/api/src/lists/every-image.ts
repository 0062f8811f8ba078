import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type Image, ListImagesRequestSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listImagesOnNodes } from "./list-images-on-nodes.ts";

const PAGE_SIZE = 1000;

/** The images of all nodes, by id, each with the nodes that have it. Throws NODE_UNAVAILABLE if a node does not answer. */
export async function everyImage(api: ApiContext, ctx: CallContext): Promise<Image[]> {
  const images: Image[] = [];
  for (let pageToken = ""; ; ) {
    const request = create(ListImagesRequestSchema, { pageSize: PAGE_SIZE, pageToken });
    const { items, nextPageToken, unreachableNodes } = await listImagesOnNodes(api, ctx, request);
    const [silent] = unreachableNodes;
    if (silent !== undefined)
      throw new PaddockError("NODE_UNAVAILABLE", `${unreachableNodes.join(", ")} did not list its images`, {
        hint: "repeat the call when the node is back, or give the full id",
        metadata: { node_id: silent },
      });
    images.push(...items);
    if (nextPageToken === "") return images;
    pageToken = nextPageToken;
  }
}
