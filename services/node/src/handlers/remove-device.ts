import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { removeDeviceEntry, requireDevice } from "../lifecycle/remove-device.ts";
import { locked, permits } from "./call.ts";

export const removeDevice = command(
  SandboxService.method.removeDevice,
  (ctx, { sandboxId, deviceId, force }, { requestId, signal, ...call }) =>
    locked(ctx, sandboxId, { requestId, signal, ...call }, async (entry) => {
      permits(entry, "remove_hardware");
      const work = { node: ctx, entry };
      await removeDeviceEntry(work, requireDevice(work, deviceId), { requestId, force, signal });
      return {};
    }),
);
