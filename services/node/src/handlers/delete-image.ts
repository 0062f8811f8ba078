import { ImageService } from "@paddock/protocol";
import { command } from "../command.ts";
import { imageFailure } from "../containers/require-image.ts";

export const deleteImage = command(
  ImageService.method.deleteImage,
  async ({ images, sandboxes }, { image }) => {
    try {
      const { record } = await images.remove(image, { inUse: (id) => sandboxes.usesImage(id) });
      return { imageId: record.id };
    } catch (error) {
      throw imageFailure(error);
    }
  },
);
