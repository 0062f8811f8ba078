/**
 * Makes a volume larger: its record, its file, the disk of the VM that writes to it, and the file system in its guest, in this order.
 * Each part can be repeated, so a repeat of the call finishes what a failure or a crash has left. Without a VM that writes, the next
 * mount for writing grows the file system.
 */
import { invalidField, PaddockError, requireDiskSpace } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { volumeOf, volumePlace } from "../record/sandbox-volumes.ts";
import type { VolumeRecord } from "../record/volume-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { roundedBytes, type VolumeCall } from "./create-volume.ts";

const GROW_TIMEOUT_MS = 30_000;

/** Throws VOLUME_NOT_FOUND, INVALID_FIELD for a smaller size, NO_DISK_SPACE, VOLUME_IN_USE while the sandbox that writes is paused. */
export async function resizeVolumeRecord(
  ctx: NodeContext,
  name: string,
  wanted: bigint,
  call: VolumeCall,
): Promise<VolumeRecord> {
  return await ctx.volumeLock.with(name, call, async () => {
    ctx.volumes.require(name);
    requireDiskSpace(await ctx.freeDiskBytes(), ctx.diskFloorBytes);
    // Nothing waits between here and the growth of the file: a sandbox that claims the volume later opens the larger file.
    const writer = ctx.volumes.users.of(name).find(({ readOnly }) => !readOnly);
    if (writer === undefined) return grow(ctx, name, wanted);
    return await ctx.lock.with(writer.sandboxId, call, async () => {
      const entry = ctx.sandboxes.find(writer.sandboxId);
      if (entry?.record.phase.kind === "paused")
        throw new PaddockError(
          "VOLUME_IN_USE",
          `sandbox ${writer.sandboxId} can write to volume ${name} and is paused`,
          {
            hint: "resume or stop the sandbox first",
            metadata: { volume: name, writers: writer.sandboxId },
          },
        );
      const volume = grow(ctx, name, wanted);
      if (entry !== undefined) await growInVm(entry, volume, call.signal);
      return volume;
    });
  });
}

function grow({ volumes }: NodeContext, name: string, wanted: bigint): VolumeRecord {
  const volume = volumes.require(name);
  const sizeBytes = roundedBytes(wanted);
  if (sizeBytes < volume.sizeBytes)
    throw invalidField("size_bytes", `must be at least ${volume.sizeBytes}, the present size`);
  if (sizeBytes > volume.sizeBytes) {
    using _promised = volumes.promise(sizeBytes - volume.sizeBytes);
    volumes.put({ ...volume, sizeBytes });
  }
  volumes.files.grow(volume.fileId, sizeBytes);
  return volumes.require(name);
}

async function growInVm(entry: SandboxEntry, volume: VolumeRecord, signal: AbortSignal): Promise<void> {
  const attached = volumeOf(entry.record, volume.name);
  if (entry.vm === undefined || attached === undefined || attached.readOnly) return;
  const { machine } = entry.vm;
  const client = await entry.agent.client({ signal, deadlineMs: GROW_TIMEOUT_MS });
  await machine.resizeDisk(volumePlace(attached).id, volume.sizeBytes, signal);
  await client.sandbox.growDisk(
    { disk: { target: attached.target, lun: 0 }, sizeBytes: BigInt(volume.sizeBytes) },
    { signal, timeoutMs: GROW_TIMEOUT_MS },
  );
}
