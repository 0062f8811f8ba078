import { VolumeService } from "@paddock/protocol";
import { command } from "../command.ts";
import { deletedOutcome } from "../store/request-outcome.ts";

export const deleteVolume = command(VolumeService.method.deleteVolume, (ctx, { name }, call) =>
  ctx.volumeLock.with(name, call, async () => {
    await ctx.volumes.remove(name, deletedOutcome(call.requestId));
    return {};
  }),
);
