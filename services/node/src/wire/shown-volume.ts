import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Volume, VolumeCopyMethod, VolumeSchema } from "@paddock/protocol";
import type { CopyMethod, VolumeRecord } from "../record/volume-record.ts";

const METHODS: Readonly<Record<CopyMethod, VolumeCopyMethod>> = {
  reflink: VolumeCopyMethod.REFLINK,
  copy: VolumeCopyMethod.COPY,
};

/** What is not in the record. */
export type VolumeFacts = {
  readonly nodeId: string;
  readonly usedBytes: number;
  readonly users: readonly { readonly sandboxId: string; readonly readOnly: boolean }[];
};

/** A volume as clients see it. */
export const shownVolume = (
  { name, sizeBytes, labels, createdAtMs, copy }: VolumeRecord,
  { nodeId, usedBytes, users }: VolumeFacts,
): Volume =>
  create(VolumeSchema, {
    name,
    nodeId,
    sizeBytes: BigInt(sizeBytes),
    usedBytes: BigInt(usedBytes),
    labels,
    createdAt: timestampFromMs(createdAtMs),
    users: users.map((user) => ({ ...user })),
    ...(copy && { copy: { source: copy.source, method: METHODS[copy.method] } }),
  });
