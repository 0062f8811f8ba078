/** Volumes as disks of a running VM: linked and plugged in, released by the guest and unplugged. Both can be repeated. */
import { rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { hasReason } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { volumeDisk, volumePlace } from "../record/sandbox-volumes.ts";
import type { SandboxVolume } from "../record/volume-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { volumeLinkPath } from "../vm/vm-paths.ts";

const RELEASE_TIMEOUT_MS = 15_000;
/** All pauses together take twice as long at most. */
const UNMOUNT_PATIENCE_MS = 2000;

/**
 * Plugs volumes of the record, or of an operation that is noted in it, into the VM. Throws VOLUME_NOT_FOUND, or VOLUME_IN_USE.
 */
export async function attachVolumes(
  node: NodeContext,
  entry: SandboxEntry,
  volumes: readonly SandboxVolume[],
  signal: AbortSignal,
): Promise<void> {
  const { vmPaths, record, vm } = entry;
  for (const volume of volumes) {
    await node.volumes.link(volume, vmPaths, node.vmUidBase + record.vm.slot);
    if (vm === undefined) throw entry.lost;
    await vm.machine.attach(volumeDisk(volume, vmPaths), signal);
  }
}

/** Unplugs volumes from the VM, if there is one, after its guest has written everything back, and removes their links. */
export async function detachVolumes(
  entry: SandboxEntry,
  volumes: readonly SandboxVolume[],
  signal: AbortSignal,
): Promise<void> {
  for (const volume of volumes) {
    await unplug(entry, volume, signal);
    await rm(volumeLinkPath(entry.vmPaths, volume.target), { force: true });
  }
}

async function unplug(entry: SandboxEntry, volume: SandboxVolume, signal: AbortSignal): Promise<void> {
  if (entry.vm === undefined) return;
  const { machine } = entry.vm;
  await releaseInGuest(entry, volume, signal);
  await machine.detach(volumePlace(volume), signal);
}

/**
 * The guest's kernel unmounts a file system some milliseconds after the last process of its container has ended, without telling
 * anyone, so a busy disk is asked for again.
 */
async function releaseInGuest(
  entry: SandboxEntry,
  { target }: SandboxVolume,
  signal: AbortSignal,
): Promise<void> {
  const { sandbox } = await entry.agent.client({ signal, deadlineMs: RELEASE_TIMEOUT_MS });
  const release = () =>
    sandbox.releaseDisk({ disk: { target, lun: 0 } }, { signal, timeoutMs: RELEASE_TIMEOUT_MS });
  for (let pauseMs = 10; pauseMs < UNMOUNT_PATIENCE_MS; pauseMs *= 2) {
    try {
      await release();
      return;
    } catch (error) {
      if (!hasReason(error, "DEVICE_BUSY")) throw error;
    }
    await pause(pauseMs, undefined, { signal });
  }
  await release();
}
