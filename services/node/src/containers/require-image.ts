import { type ErrorReason, PaddockError } from "@paddock/domain";
import { ImageError, type ImageErrorKind, type ImageRecord } from "@paddock/images";
import type { NodeContext } from "../node-context.ts";

const REASONS = {
  invalid_archive: "INVALID_ARCHIVE",
  digest_mismatch: "DIGEST_MISMATCH",
  unsupported: "UNSUPPORTED_IMAGE",
  unsafe_path: "UNSAFE_PATH",
  too_large: "TOO_LARGE",
  no_space: "NO_DISK_SPACE",
  failed: "INTERNAL",
  not_found: "IMAGE_NOT_FOUND",
  ambiguous: "AMBIGUOUS_REFERENCE",
  in_use: "IMAGE_IN_USE",
  invalid_reference: "INVALID_REFERENCE",
} as const satisfies Record<ImageErrorKind, ErrorReason>;

type Images = Pick<NodeContext, "images" | "nodeId">;

/**
 * The image that a client's reference names: a name, an id or the prefix of an id. Synchronous, so that it can be pinned before
 * anything else happens. Throws IMAGE_NOT_FOUND, AMBIGUOUS_REFERENCE or INVALID_REFERENCE.
 */
export function requireImage({ images, nodeId }: Images, reference: string): ImageRecord {
  try {
    const image = images.find(reference);
    if (image !== undefined) return image;
  } catch (error) {
    throw imageFailure(error);
  }
  const name = JSON.stringify(reference.slice(0, 200));
  throw new PaddockError("IMAGE_NOT_FOUND", `node ${nodeId} has no image ${name}`, {
    hint: "import it first; list the images to see which exist",
  });
}

/** The image of a container's record, by its id. Throws IMAGE_NOT_FOUND. */
export function requireImageOfId({ images, nodeId }: Images, imageId: string): ImageRecord {
  const image = images.get(imageId);
  if (image !== undefined) return image;
  throw new PaddockError("IMAGE_NOT_FOUND", `image ${imageId} is no longer on node ${nodeId}`, {
    hint: "import it again",
  });
}

/** Converts a refusal of the image store to an error of a call. */
export function imageFailure(error: unknown): unknown {
  return error instanceof ImageError
    ? new PaddockError(REASONS[error.kind], error.message, { hint: error.hint, cause: error })
    : error;
}
