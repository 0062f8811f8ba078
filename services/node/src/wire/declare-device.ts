/** The devices of requests and responses. Pure. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { invalidField, PaddockError } from "@paddock/domain";
import { agentpb, type Device, DeviceSchema } from "@paddock/protocol";
import { type DeviceFile, type DeviceRecord, MAX_DEVICES } from "../record/device-record.ts";
import { devicesOnHost } from "../record/sandbox-devices.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";

const DEFAULT_MODE = 0o660;
/** Time for a disk to appear in the guest; measured 45 ms, hot-plugged under emulation. */
const DISK_TIMEOUT_MS = 10_000;

/** A requested device. */
type DeclaredDevice = Pick<DeviceRecord, "deviceId" | "file"> & {
  readonly source: Pick<DeviceRecord["source"], "path" | "readOnly">;
};

/**
 * Throws INVALID_FIELD, DEVICE_EXISTS for an id, or a path of the container, that is in use, TOO_MANY, and NOT_IMPLEMENTED or
 * HOST_REFUSED for other sources.
 */
export function declareDevice(wanted: Device, record: SandboxRecord, newId: () => string): DeclaredDevice {
  const source = hostSource(wanted);
  const deviceId = wanted.deviceId || newId();
  const file = fileOf(wanted, deviceId);
  const others = devicesOnHost(record);
  if (others.length >= MAX_DEVICES)
    throw new PaddockError("TOO_MANY", `a sandbox has at most ${MAX_DEVICES} devices`);
  if (others.some((each) => each.deviceId === deviceId))
    throw new PaddockError("DEVICE_EXISTS", `the sandbox has a device ${deviceId}`);
  const isTaken = (each: DeviceRecord) =>
    each.file?.containerId === file?.containerId && each.file?.path === file?.path;
  const taken = file === undefined ? undefined : others.find(isTaken);
  if (taken !== undefined) throw pathTaken(file?.path ?? "", `it is device ${taken.deviceId}`);
  return { deviceId, source, ...(file !== undefined && { file }) };
}

export const pathTaken = (path: string, why: string, cause?: unknown): PaddockError =>
  new PaddockError("DEVICE_EXISTS", `${path} exists in the container: ${why}`, { cause });

function hostSource({ source }: Device): DeclaredDevice["source"] {
  switch (source.case) {
    case "hostDevice":
      return { path: source.value.path, readOnly: source.value.readOnly };
    case "volume":
      throw new PaddockError("NOT_IMPLEMENTED", "a volume cannot be a device yet");
    case "vfio":
      throw new PaddockError("NOT_IMPLEMENTED", "a PCI device cannot be attached yet");
    case undefined:
      throw invalidField("device.source", "must be set");
    default:
      return source satisfies never;
  }
}

function fileOf(wanted: Device, deviceId: string): DeviceFile | undefined {
  const { containerId, mode, uid, gid } = wanted;
  if (containerId === "") {
    if (wanted.containerPath !== "") throw invalidField("device.container_path", "needs a container_id");
    return undefined;
  }
  const path = wanted.containerPath || `/dev/${deviceId}`;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || parts.length === 0)
    throw invalidField("device.container_path", 'must be a path below "/" without ".."');
  return { containerId, path: `/${parts.join("/")}`, mode: mode || DEFAULT_MODE, uid, gid };
}

/** The device as the client sees it. */
export const shownDevice = ({ deviceId, source, file }: DeviceRecord): Device =>
  create(DeviceSchema, {
    deviceId,
    source: { case: "hostDevice", value: { path: source.path, readOnly: source.readOnly } },
    ...(file !== undefined && {
      containerId: file.containerId,
      containerPath: file.path,
      mode: file.mode,
      uid: file.uid,
      gid: file.gid,
    }),
    sizeBytes: BigInt(source.sizeBytes),
  });

/** The disk of a device in the guest. */
export const guestDisk = ({ target }: Pick<DeviceRecord, "target">) => ({ target, lun: 0 });

/** The device files of a container in the guest, without those that are being removed. */
export function guestDevices(
  { devices, operations }: Pick<SandboxRecord, "devices" | "operations">,
  containerId: string,
): readonly agentpb.ContainerDevice[] {
  const leaving = new Set(
    operations.flatMap((each) => (each.kind === "remove-device" ? [each.deviceId] : [])),
  );
  return devices
    .filter(({ deviceId, file }) => file?.containerId === containerId && !leaving.has(deviceId))
    .flatMap((device) => guestDevice(device) ?? []);
}

/** The device file in the guest; undefined for a device without one. */
export const guestDevice = (
  device: Pick<DeviceRecord, "target" | "source" | "file">,
): agentpb.ContainerDevice | undefined =>
  device.file &&
  create(agentpb.ContainerDeviceSchema, {
    disk: guestDisk(device),
    path: device.file.path,
    mode: device.file.mode,
    uid: device.file.uid,
    gid: device.file.gid,
    readOnly: device.source.readOnly,
  });

export const diskTimeout = () => durationFromMs(DISK_TIMEOUT_MS);
