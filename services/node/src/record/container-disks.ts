/** The disks of a container, and their places on the guest's SCSI controller. Pure. */

import { DEFAULT_LAYER_BYTES } from "@paddock/domain";
import type { MachineDisk } from "../vm/machine-port.ts";
import { type VmPaths, writableLayerPath } from "../vm/vm-paths.ts";
import type { ContainerRecord } from "./sandbox-record.ts";

type Place = Pick<MachineDisk, "kind" | "id" | "target">;

/** The disk of the image and, unless the root file system is read-only, that of the writable layer. */
export function containerDisks({ index, targets }: Pick<ContainerRecord, "index" | "targets">): {
  readonly lower: Place;
  readonly upper: Place | undefined;
} {
  const { image, layer } = targets;
  return {
    lower: { kind: "disk", id: `image${index}`, target: image },
    upper: layer === undefined ? undefined : { kind: "disk", id: `layer${index}`, target: layer },
  };
}

/** The disks as a machine attaches them. */
export function machineDisks(
  container: Pick<ContainerRecord, "index" | "targets">,
  imagePath: string,
  paths: VmPaths,
): MachineDisk[] {
  const { lower, upper } = containerDisks(container);
  return [
    { ...lower, path: imagePath, readOnly: true },
    ...(upper === undefined
      ? []
      : [{ ...upper, path: writableLayerPath(paths, container.index), readOnly: false }]),
  ];
}

/** Size of the writable layer, in bytes. */
export const layerBytes = ({ spec }: Pick<ContainerRecord, "spec">): number =>
  Number(spec.writableLayerBytes) || DEFAULT_LAYER_BYTES;
