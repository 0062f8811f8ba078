import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { shownDevice } from "../wire/declare-device.ts";

export const listDevices = command(SandboxService.method.listDevices, async (ctx, { sandboxId }) => ({
  devices: ctx.sandboxes.require(sandboxId).record.devices.map(shownDevice),
}));
