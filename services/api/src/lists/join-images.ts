import { create } from "@bufbuild/protobuf";
import { type Image, ImageSchema } from "@paddock/protocol";

/** The same image on several nodes as one. */
export const joinImages = (a: Image, b: Image): Image =>
  create(ImageSchema, {
    ...a,
    names: [...new Set([...a.names, ...b.names])].sort(),
    nodeIds: [...new Set([...a.nodeIds, ...b.nodeIds])].sort(),
  });
