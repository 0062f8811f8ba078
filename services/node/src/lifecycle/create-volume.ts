/** Creates a volume, empty or as a copy: its file is complete before its record exists. */
import { randomBytes } from "node:crypto";
import { invalidField, MIB, PaddockError, requireDiskSpace } from "@paddock/domain";
import type { CreateVolumeRequest } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { VolumeRecord } from "../record/volume-record.ts";

const DEFAULT_BYTES = 1024 * MIB;

export type VolumeCall = { readonly requestId: string; readonly signal: AbortSignal; readonly name: string };

/** The size in whole MiB. */
export const roundedBytes = (bytes: bigint): number => Math.ceil(Number(bytes) / MIB) * MIB;

/**
 * Creates the volume `name` and returns its record; a repeat of the request returns the volume that it created. Throws
 * VOLUME_EXISTS, VOLUME_NOT_FOUND for the source, VOLUME_IN_USE if a sandbox can write to the source, INVALID_FIELD for a size
 * below the source's, NO_DISK_SPACE.
 */
export async function createVolumeRecord(
  ctx: NodeContext,
  name: string,
  request: Pick<CreateVolumeRequest, "sizeBytes" | "source" | "labels">,
  call: VolumeCall,
): Promise<VolumeRecord> {
  return await ctx.volumeLock.with(name, call, async () => {
    const known = ctx.volumes.find(name);
    if (known?.requestId === call.requestId) return known;
    ctx.volumes.requireFree(name);
    using copying = new DisposableStack();
    const source = request.source === "" ? undefined : ctx.volumes.require(request.source);
    if (source !== undefined) copying.use(ctx.volumes.users.claimCopy(source.name));
    const sizeBytes = sizeOf(request.sizeBytes, source);
    using _promised = ctx.volumes.promise(sizeBytes);
    requireDiskSpace(await ctx.freeDiskBytes(), ctx.diskFloorBytes);
    const fileId = randomBytes(16).toString("hex");
    const copy = source && (await copyFrom(ctx, source, { fileId, sizeBytes }, call.signal));
    if (source === undefined) await ctx.volumes.files.create(fileId, sizeBytes);
    const volume: VolumeRecord = {
      name,
      fileId,
      sizeBytes,
      labels: request.labels,
      createdAtMs: ctx.nowMs(),
      requestId: call.requestId,
      ...(copy && { copy }),
    };
    await keep(ctx, volume);
    return volume;
  });
}

/** A file whose row could not be written is removed, now or by the next start. */
async function keep({ volumes }: NodeContext, volume: VolumeRecord): Promise<void> {
  try {
    volumes.put(volume);
  } catch (error) {
    await volumes.files.remove(volume.fileId).catch(() => undefined);
    throw error;
  }
}

function sizeOf(wanted: bigint, source: VolumeRecord | undefined): number {
  if (wanted === 0n) return source?.sizeBytes ?? DEFAULT_BYTES;
  const bytes = roundedBytes(wanted);
  if (source !== undefined && bytes < source.sizeBytes)
    throw invalidField("size_bytes", `must be at least ${source.sizeBytes}, the size of ${source.name}`);
  return bytes;
}

/** Throws NO_DISK_SPACE also when a copy of all bytes in use would leave less than the floor. */
async function copyFrom(
  { volumes, freeDiskBytes, diskFloorBytes }: NodeContext,
  source: VolumeRecord,
  { fileId, sizeBytes }: Pick<VolumeRecord, "fileId" | "sizeBytes">,
  signal: AbortSignal,
): Promise<NonNullable<VolumeRecord["copy"]>> {
  const { files } = volumes;
  const method = await files.copy(source.fileId, fileId, sizeBytes, {
    signal,
    requireRoom: async () => {
      const needed = await files.usedBytes(source.fileId);
      const free = await freeDiskBytes();
      if (free - needed < diskFloorBytes)
        throw new PaddockError("NO_DISK_SPACE", `a copy of ${source.name} needs ${needed} bytes`, {
          hint: "delete volumes, images or stopped sandboxes",
        });
    },
  });
  return { source: source.name, method };
}
