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
  not_found: "IMAGE_NOT_FOUND",
  ambiguous: "AMBIGUOUS_REFERENCE",
  in_use: "IMAGE_IN_USE",
  invalid_reference: "INVALID_REFERENCE",
} as const satisfies Record<ImageErrorKind, ErrorReason>;

/** The image a reference names. Throws IMAGE_NOT_FOUND, AMBIGUOUS_REFERENCE or INVALID_REFERENCE. */
export async function requireImage(
  { images, nodeId }: Pick<NodeContext, "images" | "nodeId">,
  reference: string,
): Promise<ImageRecord> {
  const image = await images.resolve(reference).catch((error: unknown) => {
    throw imageFailure(error);
  });
  if (image !== undefined) return image;
  throw new PaddockError(
    "IMAGE_NOT_FOUND",
    `node ${nodeId} has no image ${JSON.stringify(reference.slice(0, 200))}`,
    {
      hint: "import it first; list the images to see what there is",
    },
  );
}

/** What the image store refused, as an error of a call. */
export function imageFailure(error: unknown): unknown {
  return error instanceof ImageError
    ? new PaddockError(REASONS[error.kind], error.message, { hint: error.hint, cause: error })
    : error;
}
