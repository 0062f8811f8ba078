import { PaddockError } from "@paddock/domain";
import { type DeleteImageRequest, type DeleteImageResponse, ImageService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { everyImage } from "../lists/every-image.ts";

/**
 * Removes an image from all nodes. A node without the image is not a failure. If a node refuses, the call fails with its error,
 * and the image is removed from the other nodes.
 */
export const deleteImage =
  (api: ApiContext) =>
  async (body: DeleteImageRequest, ctx: CallContext): Promise<DeleteImageResponse> => {
    await api.sight.seen(ctx);
    const nodeIds = await nodesWith(api, ctx, body.image);
    const command = { method: ImageService.method.deleteImage, body };
    const every = await askEveryNode(api, ctx, command, ({ nodeId }) => nodeIds?.has(nodeId) ?? true);
    const refusal = every.refusals.find(({ error }) => !isNotFound(error));
    if (refusal) throw refusal.error;
    const silent = every.unreachable[0];
    if (silent !== undefined) {
      throw new PaddockError(
        "NODE_UNAVAILABLE",
        `image ${body.image} may still be on ${every.unreachable.join(", ")}`,
        {
          hint: "repeat the call when the node is back",
          metadata: { node_id: silent },
        },
      );
    }
    const [first] = every.answers;
    if (first) return first.answer;
    throw new PaddockError("IMAGE_NOT_FOUND", `no node has an image ${body.image}`, {
      metadata: { image: body.image },
    });
  };

/** A prefix of an id, as nodes accept it. No name has this form. */
const ID_PREFIX = /^(?:sha256:(?=[0-9a-f]{1,63}$)|(?=[0-9a-f]{12,63}$))([0-9a-f]+)$/;

/**
 * The nodes that have the image that a prefix of an id matches in the whole fleet; on a single node it could match another image.
 * Undefined for other references, and if no node has the image any more: nodes that deleted it still know the answer. Nodes are
 * asked with the reference itself, so that a repeated call is the same request for them. Throws AMBIGUOUS_REFERENCE.
 */
async function nodesWith(
  api: ApiContext,
  ctx: CallContext,
  reference: string,
): Promise<ReadonlySet<string> | undefined> {
  const prefix = ID_PREFIX.exec(reference)?.[1];
  if (prefix === undefined) return undefined;
  const images = await everyImage(api, ctx);
  const meant = images.filter(({ imageId }) => imageId.startsWith(`sha256:${prefix}`));
  if (meant.length > 1) {
    throw new PaddockError("AMBIGUOUS_REFERENCE", `${meant.length} images begin with ${reference}`, {
      hint: "give more of the id",
      metadata: { image: reference },
    });
  }
  return meant.length === 0 ? undefined : new Set(meant.flatMap(({ nodeIds }) => nodeIds));
}

const isNotFound = (error: unknown): boolean =>
  error instanceof PaddockError && error.reason === "IMAGE_NOT_FOUND";
