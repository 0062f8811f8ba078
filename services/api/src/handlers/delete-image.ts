import { PaddockError } from "@paddock/domain";
import { type DeleteImageRequest, type DeleteImageResponse, ImageService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";
import { everyImage } from "../lists/every-image.ts";

/**
 * Removes an image from all nodes. A node that does not have it is as it shall be; when any other refuses, its error is the
 * answer, and the image is gone from those that did not.
 */
export const deleteImage =
  (api: ApiContext) =>
  async (body: DeleteImageRequest, ctx: CallContext): Promise<DeleteImageResponse> => {
    await api.sight.seen(ctx);
    const nodeIds = await holders(api, ctx, body.image);
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

/** What a node takes for the beginning of an id; nothing of that form is a name. */
const ID_BEGINNING = /^(?:sha256:(?=[0-9a-f]{1,63}$)|(?=[0-9a-f]{12,63}$))([0-9a-f]+)$/;

/**
 * The nodes that have the one image a reference means in the fleet, where each node alone could take it for another; undefined when
 * none can, or when no node has it any more and those that have deleted it remember that. They are asked by the reference itself, so that
 * a repeated call is the same request to them. Throws AMBIGUOUS_REFERENCE.
 */
async function holders(
  api: ApiContext,
  ctx: CallContext,
  reference: string,
): Promise<ReadonlySet<string> | undefined> {
  const beginning = ID_BEGINNING.exec(reference)?.[1];
  if (beginning === undefined) return undefined;
  const images = await everyImage(api, ctx);
  const meant = images.filter(({ imageId }) => imageId.startsWith(`sha256:${beginning}`));
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
