import { invalidField } from "@paddock/domain";
import { VolumeService } from "@paddock/protocol";
import { command } from "../command.ts";
import { createVolumeRecord } from "../lifecycle/create-volume.ts";
import { volumeNow } from "./volume-answer.ts";

/** The api has chosen the name and the node. */
export const createVolume = command(VolumeService.method.createVolume, async (ctx, request, call) => {
  if (request.name === "") throw invalidField("name", "must be set");
  return { volume: await volumeNow(ctx, await createVolumeRecord(ctx, request.name, request, call)) };
});
