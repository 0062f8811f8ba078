/**
 * The volumes of a sandbox, from its record. Pure.
 *
 * A volume is one disk of the sandbox, for all mounts of its containers. The disk is writable if a mount writes when the disk is
 * attached, and stays so until no container uses the volume. The sandbox uses the volumes of its record from its creation to its
 * deletion, also while it is stopped, so a crash leaves no claim behind that no sandbox has.
 */
import { PaddockError } from "@paddock/domain";
import type { ContainerSpec } from "@paddock/protocol";
import type { MachineDisk } from "../vm/machine-port.ts";
import { type VmPaths, volumeLinkPath } from "../vm/vm-paths.ts";
import { lowestFree, TARGETS, takenTargets, volumesOf } from "./container-place.ts";
import type { ContainerRecord, SandboxRecord } from "./sandbox-record.ts";
import type { SandboxVolume, VolumeUse } from "./volume-record.ts";

/** The volumes that a container mounts, each once: to write if one of its mounts writes. */
export function mountedVolumes({ mounts }: Pick<ContainerSpec, "mounts">): readonly VolumeUse[] {
  const uses = new Map<string, VolumeUse>();
  for (const { source, readOnly } of mounts) {
    if (source.case !== "volume") continue;
    const volume = source.value.name;
    uses.set(volume, { volume, readOnly: readOnly && (uses.get(volume)?.readOnly ?? true) });
  }
  return [...uses.values()];
}

export { volumesOf };

type Volumes = Pick<SandboxRecord, "volumes" | "operations">;

/** The volume of this name among those of the sandbox. */
export const volumeOf = (record: Volumes, name: string): SandboxVolume | undefined =>
  volumesOf(record).find(({ volume }) => volume === name);

/**
 * The volumes that the sandbox does not have yet, each with a free target. Throws TOO_MANY, and VOLUME_IN_USE if the sandbox has
 * one of them as a disk that can only be read.
 */
export function volumesToAdd(
  record: Pick<SandboxRecord, "containers" | "volumes" | "devices" | "operations" | "sandboxId">,
  wanted: readonly VolumeUse[],
): readonly SandboxVolume[] {
  const missing = wanted.filter((use) => !has(record, use));
  const targets = lowestFree(new Set(takenTargets(record)), missing.length, TARGETS, "volume");
  return missing.map((use, index) => ({ ...use, target: targets[index] ?? 0 }));
}

function has(record: Volumes & Pick<SandboxRecord, "sandboxId">, { volume, readOnly }: VolumeUse): boolean {
  const known = volumeOf(record, volume);
  if (known === undefined) return false;
  if (known.readOnly && !readOnly)
    throw new PaddockError("VOLUME_IN_USE", `sandbox ${record.sandboxId} can only read volume ${volume}`, {
      hint: "delete the containers of the sandbox that read it, then mount it to write",
      metadata: { volume, readers: record.sandboxId },
    });
  return true;
}

/** The volumes of all containers together: to write if one of them writes. */
export function usesOf(containers: readonly Pick<ContainerRecord, "spec">[]): readonly VolumeUse[] {
  const mounts = containers.flatMap(({ spec }) => spec.mounts);
  return mountedVolumes({ mounts });
}

/** The volumes of a sandbox that nothing uses once the container is gone. */
export const volumesWithout = (
  { volumes, containers }: Pick<SandboxRecord, "volumes" | "containers">,
  containerId: string,
): readonly SandboxVolume[] => {
  const left = new Set(
    usesOf(containers.filter((each) => each.containerId !== containerId)).map(({ volume }) => volume),
  );
  return volumes.filter(({ volume }) => !left.has(volume));
};

type Place = Pick<MachineDisk, "kind" | "id" | "target">;

/** The place of a volume's disk in the VM. */
export const volumePlace = ({ target }: Pick<SandboxVolume, "target">): Place => ({
  kind: "disk",
  id: `volume${target}`,
  target,
});

/** The disk as a machine attaches it. */
export const volumeDisk = (volume: SandboxVolume, paths: Pick<VmPaths, "dir">): MachineDisk => ({
  ...volumePlace(volume),
  path: volumeLinkPath(paths, volume.target),
  readOnly: volume.readOnly,
});

/** The places of the volumes that a container mounts. */
export function volumePlaces(record: Volumes, { spec }: Pick<ContainerRecord, "spec">): readonly Place[] {
  return mountedVolumes(spec)
    .map(({ volume }) => volumeOf(record, volume))
    .filter((volume) => volume !== undefined)
    .map(volumePlace);
}
