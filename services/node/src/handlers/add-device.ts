import { PaddockError } from "@paddock/domain";
import { SandboxService } from "@paddock/protocol";
import { command } from "../command.ts";
import { addDeviceEntry } from "../lifecycle/add-device.ts";
import { undoNoted } from "../lifecycle/operations.ts";
import { othersThan } from "../lifecycle/renew-devices.ts";
import { targetFor } from "../record/device-place.ts";
import { devicesOnHost } from "../record/sandbox-devices.ts";
import { declareDevice, shownDevice } from "../wire/declare-device.ts";
import { locked, permits, requireContainer } from "./call.ts";

export const addDevice = command(
  SandboxService.method.addDevice,
  async (ctx, { sandboxId, device: wanted }, call) => {
    if (wanted === undefined) throw new PaddockError("INVALID_FIELD", "device must be set");
    return await locked(ctx, sandboxId, call, async (entry) => {
      const known = entry.record.devices.find(({ requestId }) => requestId === call.requestId);
      if (known !== undefined) return { device: shownDevice(known) };
      permits(entry, "change_hardware");
      // An operation that an earlier call could not undo or finish may hold the id, the target or the path.
      await undoNoted(ctx, entry);
      const { source: asked, ...declared } = declareDevice(wanted, entry.record, ctx.newId);
      if (declared.file !== undefined) requireRunning(entry, declared.file.containerId);
      const source = await ctx.disks.inspect(asked, ({ identity }) =>
        devicesOnHost(entry.record).some((each) => each.source.identity === identity),
      );
      // Nothing waits between here and the note, so that two sandboxes cannot both get the device.
      const target = targetFor(source, entry.record, othersThan(ctx, entry));
      const device = { ...declared, requestId: call.requestId, source, target };
      await addDeviceEntry({ node: ctx, entry, device }, call.signal);
      return { device: shownDevice(device) };
    });
  },
);

/** A container that has ended has no /dev. Throws CONTAINER_NOT_FOUND or WRONG_STATE. */
function requireRunning(entry: Parameters<typeof requireContainer>[0], containerId: string): void {
  if (requireContainer(entry, containerId).phase.kind !== "stopped") return;
  throw new PaddockError(
    "WRONG_STATE",
    `cannot add a device to container ${containerId} of sandbox ${entry.sandboxId}: it is stopped`,
  );
}
