/** Which disks a container has, and where on the guest's SCSI controller. Pure. */
import type { MachineDisk } from "../machine/machine-port.ts";
import { type SandboxPaths, writableLayerPath } from "../sandboxes/sandbox-paths.ts";
import type { ContainerRecord } from "../sandboxes/sandbox-record.ts";
import { DEFAULT_LAYER_BYTES } from "./writable-layers.ts";

/** A controller has 256 targets, a container takes two. */
export const MAX_CONTAINERS = 128;

type Place = { readonly id: string; readonly target: number };

/** The disk of the image, and that of the writable layer unless the root file system is read-only. */
export function containerDisks({ index, spec }: Pick<ContainerRecord, "index" | "spec">): {
  readonly lower: Place;
  readonly upper: Place | undefined;
} {
  return {
    lower: { id: `image${index}`, target: index * 2 },
    upper: spec.readOnlyRootfs ? undefined : { id: `layer${index}`, target: index * 2 + 1 },
  };
}

/** The disks as a machine attaches them. */
export function machineDisks(
  container: ContainerRecord,
  imagePath: string,
  paths: SandboxPaths,
): MachineDisk[] {
  const { lower, upper } = containerDisks(container);
  return [
    { ...lower, path: imagePath, readOnly: true },
    ...(upper === undefined
      ? []
      : [{ ...upper, path: writableLayerPath(paths, container.index), readOnly: false }]),
  ];
}

/** The smallest number no container has. */
export function freeIndex(containers: readonly Pick<ContainerRecord, "index">[]): number {
  const taken = new Set(containers.map(({ index }) => index));
  let index = 0;
  while (taken.has(index)) index++;
  return index;
}

/** Size of the writable layer, in bytes. */
export const layerBytes = ({ spec }: Pick<ContainerRecord, "spec">): number =>
  Number(spec.writableLayerBytes) || DEFAULT_LAYER_BYTES;
