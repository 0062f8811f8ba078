/** Numbers and disk addresses for a container: the lowest that no other container of the sandbox has. Pure. */
import { PaddockError } from "@paddock/domain";
import type { ContainerSpec } from "@paddock/protocol";
import { devicesOnHost } from "./sandbox-devices.ts";
import type { ContainerRecord, DiskTargets, SandboxRecord } from "./sandbox-record.ts";
import type { SandboxVolume } from "./volume-record.ts";

/** The record of a sandbox is bounded, and so is the number of its containers. */
export const MAX_CONTAINERS = 128;
/** Targets of the guest's SCSI controller. */
export const TARGETS = 256;

/** The number and targets of a container in its sandbox. */
export type ContainerPlace = Pick<ContainerRecord, "index" | "targets">;

type Placed = Pick<SandboxRecord, "containers" | "volumes" | "devices" | "operations">;

/** All places of a sandbox in use, including those of containers that are being created. */
export const takenPlaces = ({
  containers,
  operations,
}: Pick<Placed, "containers" | "operations">): readonly ContainerPlace[] => [
  ...containers,
  ...operations.filter((each) => each.kind === "add-container").map(({ container }) => container),
];

/** All targets of a sandbox in use, by containers, volumes and devices, including those that are being added. */
export const takenTargets = (record: Placed): readonly number[] => [
  ...takenPlaces(record).flatMap(({ targets }) => targetsOf(targets)),
  ...volumesOf(record).map(({ target }) => target),
  ...devicesOnHost(record).map(({ target }) => target),
];

/** All volumes of a sandbox, including those that a container in creation brings. */
export const volumesOf = ({
  volumes,
  operations,
}: Pick<Placed, "volumes" | "operations">): readonly SandboxVolume[] => [
  ...volumes,
  ...operations.flatMap((each) => (each.kind === "add-container" ? each.volumes : [])),
];

/** A free target for a device. Throws TOO_MANY. */
export function freeTarget(record: Placed): number {
  const [target = 0] = lowestFree(new Set(takenTargets(record)), 1, TARGETS, "device");
  return target;
}

/** A free place for a container, with none of the targets that other disks have. Throws TOO_MANY. */
export function freePlace(
  taken: readonly ContainerPlace[],
  { readOnlyRootfs }: Pick<ContainerSpec, "readOnlyRootfs">,
  others: readonly number[] = [],
): ContainerPlace {
  const [index = 0] = lowestFree(new Set(taken.map((place) => place.index)), 1, MAX_CONTAINERS);
  const targets = new Set([...taken.flatMap((place) => targetsOf(place.targets)), ...others]);
  const [image = 0, layer] = lowestFree(targets, readOnlyRootfs ? 1 : 2, TARGETS);
  return { index, targets: { image, ...(layer !== undefined && { layer }) } };
}

/** The targets of a container's disks. */
export const targetsOf = ({ image, layer }: DiskTargets): readonly number[] =>
  layer === undefined ? [image] : [image, layer];

/** The lowest free numbers below `end`. Throws TOO_MANY when there are not as many. */
export function lowestFree(
  taken: ReadonlySet<number>,
  count: number,
  end: number,
  what = "container",
): number[] {
  const free: number[] = [];
  for (let number = 0; number < end && free.length < count; number++)
    if (!taken.has(number)) free.push(number);
  if (free.length < count)
    throw new PaddockError("TOO_MANY", `the sandbox has no place for another ${what}`, {
      hint: "delete containers that have ended, or devices, or use another sandbox",
    });
  return free;
}
