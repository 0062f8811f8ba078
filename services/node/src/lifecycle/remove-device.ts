/**
 * Removes a device from a sandbox: the device file, then, unless another device is the same disk, the disk from the guest's
 * kernel, from the VM and from the host.
 *
 * If the guest uses the disk, the device file is put back and the removal is refused. Once the guest has released the disk, a
 * removal is finished and never undone; see `remove-interface.ts`. A stopped sandbox has no guest to ask.
 */
import { hasReason, PaddockError, withUnknownOutcome } from "@paddock/domain";
import type { DeviceRecord } from "../record/device-record.ts";
import { deviceDisk, deviceOf, isShared } from "../record/sandbox-devices.ts";
import { type Operation, withOperation, withoutOperation } from "../record/sandbox-record.ts";
import { deletedOutcome } from "../store/request-outcome.ts";
import { hideDevice, releaseDisk, showDevice } from "./guest-device.ts";
import type { Work } from "./operation.ts";

export type DeviceRemoval = Extract<Operation, { readonly kind: "remove-device" }>;

const STEP_TIMEOUT_MS = 20_000;

const soon = (): AbortSignal => AbortSignal.timeout(STEP_TIMEOUT_MS);

/** Removes the device. It is kept if the guest refuses. Needs the lock. */
export async function removeDeviceEntry(
  work: Work,
  removed: DeviceRecord,
  { requestId, force, signal }: Pick<DeviceRemoval, "requestId" | "force"> & { readonly signal: AbortSignal },
): Promise<void> {
  const { entry } = work;
  const { deviceId } = removed;
  const note: DeviceRemoval = { kind: "remove-device", deviceId, force, requestId };
  const isNew = !entry.record.operations.some(
    (each) => each.kind === "remove-device" && each.deviceId === deviceId,
  );
  entry.note((record) => withOperation(record, note));
  try {
    await leaveGuest(work, removed, { force, signal });
  } catch (error) {
    await keepDevice(work, removed, note, { error, isNew });
    throw error;
  }
  await finish(work, removed, note).catch((error: unknown) => {
    throw withUnknownOutcome(error);
  });
}

/**
 * Finishes a noted removal from any step; a device that the guest uses is kept after all. Needs the lock, or exclusive use of the
 * sandbox.
 */
export async function finishDeviceRemoval(work: Work, note: DeviceRemoval): Promise<void> {
  const { entry } = work;
  const leaving = deviceOf(entry.record, note.deviceId);
  if (leaving === undefined) return entry.note((record) => withoutOperation(record, note));
  try {
    await leaveGuest(work, leaving, { force: note.force, signal: soon() });
  } catch (error) {
    if (!hasReason(error, "DEVICE_BUSY")) throw error;
    await putBack(work, leaving);
    entry.note((record) => withoutOperation(record, note));
    return entry.log.warn(
      { device: note.deviceId, err: error },
      "a device that the guest uses was not removed",
    );
  }
  await finish(work, leaving, note);
}

/** With `force`, a guest that fails or does not answer is left behind. */
async function leaveGuest(
  { entry }: Work,
  device: DeviceRecord,
  { force, signal }: { readonly force: boolean; readonly signal: AbortSignal },
): Promise<void> {
  try {
    await hideDevice(entry, device, signal);
    if (!isShared(entry.record, device)) await releaseDisk(entry, device, { force, signal });
  } catch (error) {
    if (!force) throw error;
    entry.log.warn({ device: device.deviceId, err: error }, "the guest did not release a device");
  }
}

/** After a refusal, puts the device file back. Throws with an unknown outcome when it cannot, or the removal was noted before. */
async function keepDevice(
  work: Work,
  device: DeviceRecord,
  note: DeviceRemoval,
  { error, isNew }: { readonly error: unknown; readonly isNew: boolean },
): Promise<void> {
  const isRefused = hasReason(error, "DEVICE_BUSY");
  if (!isRefused && !isNew) throw withUnknownOutcome(error);
  await putBack(work, device).catch((cause: unknown) => {
    work.entry.log.warn({ device: device.deviceId, err: cause }, "putting a device file back failed");
    throw withUnknownOutcome(error);
  });
  work.entry.note((record) => withoutOperation(record, note));
}

/** Creates the device file again, unless the container has ended meanwhile. */
async function putBack({ entry }: Work, device: DeviceRecord): Promise<void> {
  await showDevice(entry, device, soon()).catch((error: unknown) => {
    if (!hasReason(error, "CONTAINER_NOT_FOUND", "WRONG_STATE")) throw error;
  });
}

/** The last steps; each may be repeated. */
async function finish({ node, entry }: Work, device: DeviceRecord, note: DeviceRemoval): Promise<void> {
  if (!isShared(entry.record, device)) {
    await entry.vm?.machine.detach(deviceDisk(device, entry.vmPaths), soon());
    await node.disks.release(entry.vmPaths, device.target);
  }
  entry.update(
    (record) => ({
      ...withoutOperation(record, note),
      devices: record.devices.filter((each) => each.deviceId !== note.deviceId),
    }),
    { outcome: deletedOutcome(note.requestId) },
  );
}

/** The device with this id. Throws DEVICE_NOT_FOUND. */
export function requireDevice({ entry }: Work, deviceId: string): DeviceRecord {
  const found = deviceOf(entry.record, deviceId);
  if (found !== undefined) return found;
  throw new PaddockError("DEVICE_NOT_FOUND", `sandbox ${entry.sandboxId} has no device ${deviceId}`);
}
