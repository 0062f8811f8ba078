import type { DeleteImageRequest, DeleteImageResponse } from "@paddock/protocol";
import { imageFailure } from "../containers/require-image.ts";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";

export async function deleteImage(
  { images, sandboxes }: NodeContext,
  { image }: DeleteImageRequest,
): Promise<Answer<DeleteImageResponse>> {
  try {
    const { record } = await images.remove(image, { inUse: (id) => sandboxes.usesImage(id) });
    return { imageId: record.id };
  } catch (error) {
    throw imageFailure(error);
  }
}
