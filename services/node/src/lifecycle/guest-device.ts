/** The device file of a device in its container, and its disk in the guest's kernel. */
import { hasReason } from "@paddock/domain";
import type { DeviceRecord } from "../record/device-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { diskTimeout, guestDevice, guestDisk, pathTaken } from "../wire/declare-device.ts";

const TIMEOUT_MS = 15_000;

/** Creates the device file. Throws DEVICE_EXISTS if the path is taken. */
export async function showDevice(
  entry: SandboxEntry,
  device: DeviceRecord,
  signal: AbortSignal,
): Promise<void> {
  const { file } = device;
  const shown = guestDevice(device);
  if (file === undefined || shown === undefined) return;
  const { containers } = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  const request = { containerId: file.containerId, device: shown, diskTimeout: diskTimeout() };
  await containers.addContainerDevice(request, { signal, timeoutMs: TIMEOUT_MS }).catch((error: unknown) => {
    if (!hasReason(error, "FILE_REFUSED")) throw error;
    throw pathTaken(file.path, "the container has something else there", error);
  });
}

/** Removes the device file. Succeeds without a VM, a container or a file. */
export async function hideDevice(
  entry: SandboxEntry,
  device: DeviceRecord,
  signal: AbortSignal,
): Promise<void> {
  const { file } = device;
  const shown = guestDevice(device);
  if (entry.vm === undefined || file === undefined || shown === undefined) return;
  const { containers } = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  const request = { containerId: file.containerId, device: shown };
  await containers.removeContainerDevice(request, { signal, timeoutMs: TIMEOUT_MS });
}

/** Makes the guest's kernel release the disk. Throws DEVICE_BUSY if it is in use there, unless `force`. Succeeds without a VM. */
export async function releaseDisk(
  entry: SandboxEntry,
  device: DeviceRecord,
  { force, signal }: { readonly force: boolean; readonly signal: AbortSignal },
): Promise<void> {
  if (entry.vm === undefined) return;
  const { sandbox } = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  await sandbox.releaseDisk({ disk: guestDisk(device), force }, { signal, timeoutMs: TIMEOUT_MS });
}
