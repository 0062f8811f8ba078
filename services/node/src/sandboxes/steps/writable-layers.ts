import { rm } from "node:fs/promises";
import { containerDisks, layerBytes } from "../../containers/container-disks.ts";
import { layerPlace, writableLayerPath } from "../sandbox-paths.ts";
import type { BootStep } from "./boot-context.ts";

/** A writable layer for each container. */
export const writableLayers: BootStep = {
  name: "writable-layers",
  async run({ node, entry: { paths, record } }) {
    const uid = node.vmUidBase + record.slot;
    for (const container of record.containers)
      if (containerDisks(container).upper !== undefined)
        await node.layers.create({
          ...layerPlace(paths, container.index),
          bytes: layerBytes(container),
          uid,
        });
  },
  async undo({ entry: { paths, record } }) {
    await Promise.all(
      record.containers.map(({ index }) => rm(writableLayerPath(paths, index), { force: true })),
    );
  },
};
