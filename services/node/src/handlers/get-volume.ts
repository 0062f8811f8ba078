import { VolumeService } from "@paddock/protocol";
import { command } from "../command.ts";
import { volumeNow } from "./volume-answer.ts";

export const getVolume = command(VolumeService.method.getVolume, async (ctx, { name }) => ({
  volume: await volumeNow(ctx, ctx.volumes.require(name)),
}));
