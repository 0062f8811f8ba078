import { create } from "@bufbuild/protobuf";
import { type Image, ImageSchema } from "@paddock/protocol";

/** One image that several nodes have, with the nodes and names of all. */
export const joinImages = (a: Image, b: Image): Image =>
  create(ImageSchema, {
    ...a,
    names: [...new Set([...a.names, ...b.names])].sort(),
    nodeIds: [...new Set([...a.nodeIds, ...b.nodeIds])].sort(),
  });
