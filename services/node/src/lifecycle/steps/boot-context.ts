import type { ImageRecord } from "@paddock/images";
import type { Step } from "@paddock/lifecycle";
import type { NodeContext } from "../../node-context.ts";
import { layerBytes, machineDisks } from "../../record/container-disks.ts";
import { promisedSize } from "../../record/entitled.ts";
import { type HostShare, hostSharesOf } from "../../record/host-shares.ts";
import { deviceDisk, distinctDisks } from "../../record/sandbox-devices.ts";
import type { SandboxRecord } from "../../record/sandbox-record.ts";
import { volumeDisk } from "../../record/sandbox-volumes.ts";
import { vmOverheadBytesOf } from "../../record/vm-overhead.ts";
import type { ResourcePlan } from "../../resources/host-resource.ts";
import { ownerOf } from "../../resources/release-sandbox.ts";
import type { SandboxEntry } from "../../sandboxes/sandbox-entry.ts";
import type { MachineInterface, MachineShare } from "../../vm/machine-port.ts";
import { sharePlace, type VmPaths } from "../../vm/vm-paths.ts";
import { guestCards } from "../../wire/guest-network.ts";
import { mirrorCard } from "../../wire/netns-network.ts";
import { networkCard } from "../../wire/network-card.ts";
import type { Work } from "../operation.ts";

/** Input of the steps of a boot. */
export type Boot = Work & {
  /** Images of the containers, by id. */
  readonly images: ReadonlyMap<string, ImageRecord>;
  readonly plan: ResourcePlan;
};

export type BootStep = Step<Boot>;

/**
 * A boot of the sandbox's VM with all containers of its record. All disks are on the command line, which is faster than
 * plugging them in.
 */
export function bootOf(
  node: NodeContext,
  entry: SandboxEntry,
  images: ReadonlyMap<string, ImageRecord>,
): Boot {
  const { record, vmPaths } = entry;
  const { size, vm, containers } = record;
  const imagePath = (imageId: string) => node.images.blobPath(imageOf({ images }, imageId));
  const owner = ownerOf(node, entry);
  const cards = cardsOf(node, record);
  const disks = distinctDisks(record.devices);
  const plan: ResourcePlan = {
    ...owner,
    sandboxId: entry.sandboxId,
    uid: node.vmUidBase + vm.slot,
    layers: containers
      .filter(({ targets }) => targets.layer !== undefined)
      .map((container) => ({ index: container.index, bytes: layerBytes(container) })),
    volumes: record.volumes,
    disks,
    memoryLimitBytes: size.memoryBytes + vmOverheadBytesOf(node.vmOverheadBytes, record.spec),
    machineRequest: {
      ...size,
      vcpus: promisedSize(record, node.sizeDefaults.guestOverheadBytes).vcpus,
      maxMemoryBytes: size.maxMemoryBytes ?? size.memoryBytes,
      interfacePorts: cards.length === 0 ? 0 : (record.network.slots ?? 0),
      origin: { kind: "boot" },
      devices: [
        ...containers.flatMap((container) => machineDisks(container, imagePath(container.imageId), vmPaths)),
        ...record.volumes.map((volume) => volumeDisk(volume, vmPaths)),
        ...disks.map((disk) => deviceDisk(disk, vmPaths)),
        ...cards,
        ...hostSharesOf(record.spec).map((share) => machineShare(share, vmPaths)),
      ].map((device) => ({ ...device, added: "cold" as const })),
    },
  };
  return { node, entry, images, plan };
}

const machineShare = ({ index, tag }: HostShare, paths: VmPaths): MachineShare => ({
  kind: "share",
  id: `share${index}`,
  tag,
  socket: sharePlace(paths, index).socket,
  place: index,
});

function cardsOf({ network }: NodeContext, record: SandboxRecord): readonly MachineInterface[] {
  const { netns } = record.network;
  if (netns !== undefined) return netns.links.map(mirrorCard);
  return network === undefined ? [] : guestCards(record, network.network).map(networkCard);
}

/** The image of a container's record. */
export function imageOf({ images }: Pick<Boot, "images">, imageId: string): ImageRecord {
  const image = images.get(imageId);
  if (image === undefined) throw new Error(`image ${imageId} was not looked up before the boot`);
  return image;
}
