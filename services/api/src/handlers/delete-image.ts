import { PaddockError } from "@paddock/domain";
import type { DeleteImageRequest, DeleteImageResponse } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";

/**
 * Removes an image from all nodes. A node that does not have it is as it shall be; when any other refuses, its error is the
 * answer, and the image is gone from those that did not.
 */
export const deleteImage =
  (api: ApiContext) =>
  async (body: DeleteImageRequest, ctx: CallContext): Promise<DeleteImageResponse> => {
    const every = await askEveryNode(api, ctx, { name: "deleteImage", body, requestId: body.requestId });
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

const isNotFound = (error: unknown): boolean =>
  error instanceof PaddockError && error.reason === "IMAGE_NOT_FOUND";
