/** The devices of a sandbox, also while one of them is being added. Pure. */
import type { MachineDisk } from "../vm/machine-port.ts";
import { hostDiskPath, type VmPaths } from "../vm/vm-paths.ts";
import type { DeviceRecord } from "./device-record.ts";
import type { SandboxRecord } from "./sandbox-record.ts";

type Parts = Pick<SandboxRecord, "devices" | "operations">;

/** The devices that may have resources on the host, including one that is being added. */
export function devicesOnHost({ devices, operations }: Parts): readonly DeviceRecord[] {
  const known = new Set(devices.map(({ deviceId }) => deviceId));
  const noted = operations.flatMap((each) => (each.kind === "add-device" ? [each.device] : []));
  return [...devices, ...noted.filter(({ deviceId }) => !known.has(deviceId))];
}

/** The device with this id, if the sandbox has it. */
export const deviceOf = ({ devices }: Pick<SandboxRecord, "devices">, deviceId: string) =>
  devices.find((each) => each.deviceId === deviceId);

/** Whether another device of the sandbox is the same disk. */
export const isShared = ({ devices }: Pick<SandboxRecord, "devices">, { deviceId, target }: DeviceRecord) =>
  devices.some((each) => each.deviceId !== deviceId && each.target === target);

/** One device for each disk. */
export const distinctDisks = (devices: readonly DeviceRecord[]): readonly DeviceRecord[] => [
  ...new Map(devices.map((device) => [device.target, device])).values(),
];

/** The disk in its VM. */
export const deviceDisk = (
  { source: { readOnly }, target }: Pick<DeviceRecord, "source" | "target">,
  paths: Pick<VmPaths, "dir">,
): MachineDisk => ({
  kind: "disk",
  id: `device${target}`,
  path: hostDiskPath(paths, target),
  readOnly,
  target,
  isBlockDevice: true,
});
