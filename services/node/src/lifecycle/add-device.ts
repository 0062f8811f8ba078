/** Adds a device to a sandbox whose VM runs: creates the device file for QEMU, plugs in the disk, then shows it in the container. */
import type { Step } from "@paddock/lifecycle";
import type { DeviceRecord } from "../record/device-record.ts";
import { deviceDisk, deviceOf, isShared } from "../record/sandbox-devices.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { hideDevice, showDevice } from "./guest-device.ts";
import { operation, type Work } from "./operation.ts";

type DeviceBirth = Work & { readonly device: DeviceRecord };

/** Whether the VM has the disk because of another device. */
const hasDisk = ({ entry, device }: DeviceBirth): boolean => isShared(entry.record, device);

const DEVICE_STEPS: readonly Step<DeviceBirth>[] = [
  {
    name: "host-disk",
    async run(birth) {
      const { node, entry, device } = birth;
      if (!hasDisk(birth))
        await node.disks.acquire(entry.vmPaths, device, node.vmUidBase + entry.record.vm.slot);
    },
    async undo(birth) {
      const { node, entry, device } = birth;
      if (!hasDisk(birth)) await node.disks.release(entry.vmPaths, device.target);
    },
  },
  {
    name: "disk",
    async run(birth, signal) {
      const { entry, device } = birth;
      if (entry.vm === undefined) throw entry.lost;
      if (!hasDisk(birth)) await entry.vm.machine.attach(deviceDisk(device, entry.vmPaths), signal);
    },
    async undo(birth, signal) {
      const { entry, device } = birth;
      if (!hasDisk(birth)) await entry.vm?.machine.detach(deviceDisk(device, entry.vmPaths), signal);
    },
  },
  {
    name: "container-device",
    run: ({ entry, device }, signal) => showDevice(entry, device, signal),
    undo: ({ entry, device }, signal) => hideDevice(entry, device, signal),
  },
];

export const deviceAddition = operation<DeviceBirth>({
  name: "add-device",
  steps: () => DEVICE_STEPS,
  recovered: (work, note) =>
    note.kind === "add-device" && deviceOf(work.entry.record, note.device.deviceId) === undefined
      ? { ...work, device: note.device }
      : undefined,
});

/** Adds the device; on failure nothing of it is left. Needs the lock. */
export async function addDeviceEntry(birth: DeviceBirth, signal: AbortSignal): Promise<void> {
  const { device } = birth;
  await deviceAddition.run(birth, {
    signal,
    note: { kind: "add-device", device },
    done: (record: SandboxRecord) => ({ ...record, devices: [...record.devices, device] }),
  });
}
