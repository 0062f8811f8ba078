/** Creates a container in a sandbox whose VM runs: plugs in the disks, then creates the container in the guest. */
import { rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import type { ImageRecord } from "@paddock/images";
import type { Step } from "@paddock/lifecycle";
import { createInGuest, removeFromGuest } from "../containers/create-in-guest.ts";
import { limitDisks, mayLimitDisks } from "../limits/limit-disks.ts";
import { resize } from "../limits/resize.ts";
import { containerDisks, layerBytes, machineDisks } from "../record/container-disks.ts";
import { MAX_CONTAINERS } from "../record/container-place.ts";
import { entitled } from "../record/entitled.ts";
import { type ContainerRecord, containerOf } from "../record/sandbox-record.ts";
import type { SandboxVolume } from "../record/volume-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { layerPlace, writableLayerPath } from "../vm/vm-paths.ts";
import { attachVolumes, detachVolumes } from "./attach-volumes.ts";
import { operation, type Work } from "./operation.ts";

/** Input of the steps. After a crash there is no image, and no undo needs one. */
export type ContainerBirth = Work & {
  readonly container: ContainerRecord;
  readonly image: ImageRecord | undefined;
  /** Volumes that the sandbox gets with it. */
  readonly volumes: readonly SandboxVolume[];
};

export const CONTAINER_STEPS: readonly Step<ContainerBirth>[] = [
  {
    name: "writable-layer",
    async run({ node, entry: { vmPaths, record }, container }) {
      if (container.targets.layer === undefined) return;
      const uid = node.vmUidBase + record.vm.slot;
      await node.layers.create({
        ...layerPlace(vmPaths, container.index),
        bytes: layerBytes(container),
        uid,
      });
    },
    undo: ({ entry: { vmPaths }, container }) =>
      rm(writableLayerPath(vmPaths, container.index), { force: true }),
  },
  {
    name: "disks",
    async run({ node, entry, container, image }, signal) {
      const machine = entry.vm?.machine;
      if (machine === undefined || image === undefined) throw new Error("no machine to plug disks into");
      const disks = machineDisks(container, node.images.blobPath(image), entry.vmPaths);
      await Promise.all(disks.map((disk) => machine.attach(disk, signal)));
    },
    undo: ({ entry, container }, signal) => unplugDisks(entry, container, signal),
  },
  {
    name: "volumes",
    run: ({ node, entry, volumes }, signal) => attachVolumes(node, entry, volumes, signal),
    undo: ({ entry, volumes }, signal) => detachVolumes(entry, volumes, signal),
  },
  {
    name: "limits",
    run: ({ node, entry, container }, signal) =>
      resize(node, entry, signal, { containers: [...entitled(entry.record), container] }),
    undo: ({ node, entry }, signal) => resize(node, entry, signal),
  },
  {
    name: "guest-container",
    async run({ entry, container, image }, signal) {
      if (image === undefined) throw new Error("no image to create the container from");
      if (mayLimitDisks(container)) await limitDisks(entry, container, signal);
      const counted = [...entitled(entry.record), container];
      await createInGuest(entry, container, { config: image.config, counted, signal });
    },
    async undo({ entry, container: { containerId } }, signal) {
      if (entry.vm !== undefined) await removeFromGuest(entry, containerId, signal);
    },
  },
];

export const containerCreation = operation<ContainerBirth>({
  name: "add-container",
  steps: () => CONTAINER_STEPS,
  recovered: (work, note) =>
    note.kind === "add-container" && containerOf(work.entry.record, note.container.containerId) === undefined
      ? { ...work, container: note.container, volumes: note.volumes, image: undefined }
      : undefined,
});

/** Unplugs a container's disks from the VM, if there is one. */
export async function unplugDisks(
  entry: SandboxEntry,
  container: ContainerRecord,
  signal: AbortSignal,
): Promise<void> {
  const machine = entry.vm?.machine;
  if (machine === undefined) return;
  const { lower, upper } = containerDisks(container);
  await Promise.all([lower, upper].map((disk) => disk && machine.detach(disk, signal)));
}

/** Throws CONTAINER_EXISTS or TOO_MANY, before any change. */
export function requireNewContainer({ record, sandboxId }: SandboxEntry, containerId: string): void {
  if (containerOf(record, containerId) !== undefined)
    throw new PaddockError("CONTAINER_EXISTS", `sandbox ${sandboxId} already has a container ${containerId}`);
  if (record.containers.length >= MAX_CONTAINERS)
    throw new PaddockError("TOO_MANY", `sandbox ${sandboxId} already has ${MAX_CONTAINERS} containers`);
}

/** Creates the container; on failure nothing of it is left. Needs the lock. */
export async function createContainerEntry(birth: ContainerBirth, signal: AbortSignal): Promise<void> {
  const { node, entry, container, volumes } = birth;
  await containerCreation.run(birth, {
    signal,
    note: { kind: "add-container", container, volumes },
    done: (record) => ({
      ...record,
      containers: [...record.containers, container],
      volumes: [...record.volumes, ...volumes],
    }),
  });
  node.logs.follow(entry, container.containerId);
}
