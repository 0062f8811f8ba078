/** Numbers and disk addresses for a container: the lowest that no other container of the sandbox has. Pure. */
import { PaddockError } from "@paddock/domain";
import type { ContainerSpec } from "@paddock/protocol";
import type { ContainerRecord, DiskTargets, SandboxRecord } from "./sandbox-record.ts";

/** The record of a sandbox is bounded, and so is the number of its containers. */
export const MAX_CONTAINERS = 128;
/** Targets of the guest's SCSI controller. */
const TARGETS = 256;

/** The number and targets of a container in its sandbox. */
export type ContainerPlace = Pick<ContainerRecord, "index" | "targets">;

/**
 * All places of a sandbox in use, including those of containers that are being created. A retry of `containerId` reuses its
 * place.
 */
export const takenPlaces = (
  { containers, operations }: Pick<SandboxRecord, "containers" | "operations">,
  containerId: string,
): readonly ContainerPlace[] => [
  ...containers,
  ...operations
    .filter((each) => each.kind === "add-container")
    .map(({ container }) => container)
    .filter((container) => container.containerId !== containerId),
];

/** A free place for a container. Throws TOO_MANY. */
export function freePlace(
  taken: readonly ContainerPlace[],
  { readOnlyRootfs }: Pick<ContainerSpec, "readOnlyRootfs">,
): ContainerPlace {
  const [index = 0] = lowestFree(new Set(taken.map((place) => place.index)), 1, MAX_CONTAINERS);
  const targets = new Set(taken.flatMap((place) => targetsOf(place.targets)));
  const [image = 0, layer] = lowestFree(targets, readOnlyRootfs ? 1 : 2, TARGETS);
  return { index, targets: { image, ...(layer !== undefined && { layer }) } };
}

/** The targets of a container's disks. */
export const targetsOf = ({ image, layer }: DiskTargets): readonly number[] =>
  layer === undefined ? [image] : [image, layer];

function lowestFree(taken: ReadonlySet<number>, count: number, end: number): number[] {
  const free: number[] = [];
  for (let number = 0; number < end && free.length < count; number++)
    if (!taken.has(number)) free.push(number);
  if (free.length < count)
    throw new PaddockError("TOO_MANY", "the sandbox has no place for another container", {
      hint: "delete containers that have ended, or use another sandbox",
    });
  return free;
}
