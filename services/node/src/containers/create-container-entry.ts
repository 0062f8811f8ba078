/** Creates a container in a sandbox whose VM runs: disks are plugged in, then the guest makes of them a container. */
import { rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import type { ImageRecord } from "@paddock/images";
import { runSteps, type Step } from "@paddock/lifecycle";
import { entitled } from "../limits/entitled.ts";
import { cpusetInGuest } from "../limits/guest-limits.ts";
import { limitDisks } from "../limits/limit-disks.ts";
import { requireGrowth } from "../limits/require-growth.ts";
import { resize } from "../limits/resize.ts";
import type { NodeContext } from "../node-context.ts";
import { undoing } from "../sandboxes/bring-up.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { layerPlace, writableLayerPath } from "../sandboxes/sandbox-paths.ts";
import type { ContainerRecord } from "../sandboxes/sandbox-record.ts";
import { containerDisks, layerBytes, MAX_CONTAINERS, machineDisks } from "./container-disks.ts";
import { guestContainer } from "./guest-container.ts";

const CREATE_TIMEOUT_MS = 30_000;
const REMOVE_TIMEOUT_MS = 10_000;

/** What the steps work on. After a crash an undo knows of the container what follows from its index. */
export type ContainerBirth = {
  readonly node: NodeContext;
  readonly entry: SandboxEntry;
  readonly container: ContainerRecord;
  readonly image: ImageRecord | undefined;
};

export const CONTAINER_STEPS: readonly Step<ContainerBirth>[] = [
  {
    name: "writable-layer",
    async run({ node, entry: { paths, record }, container }) {
      if (containerDisks(container).upper === undefined) return;
      const uid = node.vmUidBase + record.slot;
      await node.layers.create({ ...layerPlace(paths, container.index), bytes: layerBytes(container), uid });
    },
    async undo({ entry: { paths }, container }) {
      await rm(writableLayerPath(paths, container.index), { force: true });
    },
  },
  {
    name: "disks",
    async run({ node, entry, container, image }, signal) {
      const machine = entry.attachment?.machine;
      if (machine === undefined || image === undefined) throw new Error("no machine to plug disks into");
      const disks = machineDisks(container, node.images.blobPath(image), entry.paths);
      await Promise.all(disks.map((disk) => machine.attachDisk(disk, signal)));
    },
    async undo({ entry, container }, signal) {
      await unplugDisks(entry, container, signal);
    },
  },
  {
    name: "limits",
    async run({ node, entry, container }, signal) {
      await resize(node, entry, signal, { containers: [...entitled(entry.record), container] });
    },
    async undo({ node, entry }, signal) {
      await resize(node, entry, signal);
    },
  },
  {
    name: "guest-container",
    async run({ entry, container, image }, signal) {
      if (image === undefined) throw new Error("no image to make a container of");
      const { containers } = await entry.agent.client({ signal });
      const vcpus = entry.applied?.size.vcpus ?? entry.record.size.vcpus;
      const cpus = cpusetInGuest(container, [...entitled(entry.record), container], vcpus);
      if (container.spec.resources?.io !== undefined) await limitDisks(entry, container, signal);
      await containers.createContainer(guestContainer(container, image.config, cpus), {
        signal,
        timeoutMs: CREATE_TIMEOUT_MS,
      });
    },
    async undo({ entry, container: { containerId } }, signal) {
      if (entry.attachment === undefined) return;
      const { containers } = await entry.agent.client({ signal, deadlineMs: REMOVE_TIMEOUT_MS });
      await containers.removeContainer({ containerId }, { signal, timeoutMs: REMOVE_TIMEOUT_MS });
    },
  },
];

/** Takes a container's disks out of the VM, if there is one. */
export async function unplugDisks(
  entry: SandboxEntry,
  container: ContainerRecord,
  signal: AbortSignal,
): Promise<void> {
  const machine = entry.attachment?.machine;
  if (machine === undefined) return;
  const { lower, upper } = containerDisks(container);
  await Promise.all([lower, upper].map((disk) => disk && machine.detachDisk(disk.id, signal)));
}

/** The journal's name of a container's creation; the index is what an undo needs to know. */
export const creationScope = ({ containerId, index }: ContainerRecord): string =>
  `container:${index}:${containerId}`;

/** Throws CONTAINER_EXISTS, TOO_MANY or NO_CAPACITY; touches nothing. Room is set aside until the result is disposed of. */
export function requireContainerFits(
  ctx: NodeContext,
  entry: SandboxEntry,
  container: ContainerRecord,
): Disposable {
  const { containers } = entry.record;
  if (containers.some(({ containerId }) => containerId === container.containerId))
    throw new PaddockError(
      "CONTAINER_EXISTS",
      `sandbox ${entry.sandboxId} has a container ${container.containerId} already`,
    );
  if (containers.length >= MAX_CONTAINERS)
    throw new PaddockError(
      "TOO_MANY",
      `sandbox ${entry.sandboxId} holds ${MAX_CONTAINERS} containers already`,
    );
  return requireGrowth(ctx, entry.record, [...containers, container]);
}

/** Creates the container; on failure nothing of it remains. Needs the lock. */
export async function createContainerEntry(birth: ContainerBirth, signal: AbortSignal): Promise<void> {
  const { node, entry, container } = birth;
  const scope = creationScope(container);
  await runSteps(CONTAINER_STEPS, birth, { ...undoing(node, entry.sandboxId, scope), signal });
  entry.update((record) => ({ ...record, containers: [...record.containers, container] }), scope);
  node.logs.follow(entry, container.containerId);
}
