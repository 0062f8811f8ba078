import type { ImageRecord } from "@paddock/images";
import type { Step } from "@paddock/lifecycle";
import type { NodeContext } from "../../node-context.ts";
import type { SandboxEntry } from "../sandbox-entry.ts";

/** What the steps of a bring-up work on. An undo may find nothing of it but `node` and `entry`: the rest died with a process. */
export type Boot = {
  readonly node: NodeContext;
  readonly entry: SandboxEntry;
  /** Images of the containers, by id. */
  readonly images: ReadonlyMap<string, ImageRecord>;
};

export type BootStep = Step<Boot>;

/** The image of a container's record. */
export function imageOf({ images }: Boot, imageId: string): ImageRecord {
  const image = images.get(imageId);
  if (image === undefined) throw new Error(`image ${imageId} was not looked up before the boot`);
  return image;
}
