/** What a file of the host is, and whether a VM can have it. */
import { constants } from "node:fs";
import { type FileHandle, open, readFile, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { invalidField, PaddockError } from "@paddock/domain";
import type { HostSource } from "../record/device-record.ts";
import { deviceNumber } from "./device-number.ts";
import { listLoops } from "./loop-devices.ts";
import { pathOf } from "./open-allowed.ts";

const SECTOR_BYTES = 512;
const FIELD = "device.host_device.path";
const SYSFS = "/sys/dev/block";

type Asked = Pick<HostSource, "path" | "readOnly">;

/** The source behind a descriptor. Throws INVALID_FIELD for what a VM cannot use. */
export async function inspectSource(file: FileHandle, { path, readOnly }: Asked): Promise<HostSource> {
  const found = await file.stat({ bigint: true });
  if (found.isBlockDevice()) return { path, readOnly, ...(await blockDevice(deviceNumber(found.rdev))) };
  if (!found.isFile()) throw notUsable(path, whyNot(found.isCharacterDevice()));
  const sizeBytes = Number(found.size);
  if (sizeBytes === 0 || sizeBytes % SECTOR_BYTES !== 0)
    throw notUsable(path, `an image has a multiple of ${SECTOR_BYTES} bytes, not ${sizeBytes}`);
  const identity = `file ${deviceNumber(found.dev)} ${found.ino}`;
  return { path, readOnly, identity, whole: identity, sizeBytes };
}

const notUsable = (path: string, why: string): PaddockError =>
  invalidField(FIELD, why, `${path} cannot be a device: ${why}`);

const whyNot = (isCharacterDevice: boolean): string =>
  isCharacterDevice
    ? "it is a character device, which belongs to a driver of the host, and a VM has a kernel of its own"
    : "it is neither a block device nor an image file";

async function blockDevice(number: string): Promise<Pick<HostSource, "identity" | "whole" | "sizeBytes">> {
  const directory = await realpath(join(SYSFS, number));
  const text = (name: string) => readFile(join(directory, name), "utf8");
  const isPartition = await text("partition").then(
    () => true,
    () => false,
  );
  const whole = isPartition ? (await readFile(join(dirname(directory), "dev"), "utf8")).trim() : number;
  const sizeBytes = Number(await text("size")) * SECTOR_BYTES;
  return { identity: `block ${number}`, whole: `block ${whole}`, sizeBytes };
}

/**
 * Throws DEVICE_IN_USE when the host uses the source: a device that is mounted or held by its kernel, or a file behind a loop
 * device, unless both only read. Throws HOST_REFUSED when it cannot be opened.
 */
export async function requireUnused(file: FileHandle, source: HostSource): Promise<void> {
  await openAsWanted(file, source);
  if (source.identity.startsWith("block ")) return;
  const loop = (await listLoops()).find(
    (each) => each.identity === source.identity && !(each.readOnly && source.readOnly),
  );
  if (loop !== undefined) throw inUse(source, `it is behind ${loop.path}`);
}

/** An exclusive open of a block device fails while the host's kernel holds it, in any mount namespace. */
async function openAsWanted(file: FileHandle, source: HostSource): Promise<void> {
  const exclusive = source.identity.startsWith("block ") ? constants.O_EXCL : 0;
  const access = source.readOnly ? constants.O_RDONLY : constants.O_RDWR;
  try {
    await (await open(pathOf(file), access | exclusive | constants.O_NONBLOCK)).close();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (code === "EBUSY") throw inUse(source, "the host has mounted it or uses it in another way");
    throw new PaddockError("HOST_REFUSED", `${source.path} cannot be opened: ${code}`, { cause });
  }
}

const inUse = ({ path }: HostSource, why: string): PaddockError =>
  new PaddockError("DEVICE_IN_USE", `${path} is in use: ${why}`, {
    hint: "unmount or detach it on the node",
  });
