/** Shared by the handlers of volumes: how a volume is shown. */
import type { Volume } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { VolumeRecord } from "../record/volume-record.ts";
import { shownVolume } from "../wire/shown-volume.ts";

/** The volume as the client sees it, with its use of the disk and its users now. */
export async function volumeNow({ nodeId, volumes }: NodeContext, record: VolumeRecord): Promise<Volume> {
  const usedBytes = await volumes.files.usedBytes(record.fileId);
  return shownVolume(record, { nodeId, usedBytes, users: volumes.users.of(record.name) });
}
