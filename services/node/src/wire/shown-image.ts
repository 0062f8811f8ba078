import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ImageRecord } from "@paddock/images";
import { type Image, ImageSchema } from "@paddock/protocol";

/** An image as shown by the public API. */
export function shownImage(image: ImageRecord, nodeId: string): Image {
  const { config } = image;
  return create(ImageSchema, {
    imageId: image.id,
    names: [...image.names],
    sizeBytes: BigInt(image.sizeBytes),
    createdAt: timestampFromMs(Date.parse(image.importedAt)),
    config: {
      entrypoint: [...config.entrypoint],
      command: [...config.cmd],
      env: [...config.env],
      workingDir: config.workingDir,
      user: config.user,
      stopSignal: config.stopSignal,
      labels: { ...config.labels },
    },
    architecture: image.architecture,
    nodeIds: [nodeId],
  });
}
