import { VolumeService } from "@paddock/protocol";
import { command } from "../command.ts";
import { resizeVolumeRecord } from "../lifecycle/resize-volume.ts";
import { volumeNow } from "./volume-answer.ts";

export const resizeVolume = command(
  VolumeService.method.resizeVolume,
  async (ctx, { name, sizeBytes }, call) => ({
    volume: await volumeNow(ctx, await resizeVolumeRecord(ctx, name, sizeBytes, call)),
  }),
);
