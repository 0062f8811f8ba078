/**
 * Opens a file of the host by a client's path, without following any link.
 *
 * The path is walked by descriptors, each component from that of its directory, so a component that is exchanged meanwhile leads
 * nowhere else. The last descriptor does not open the file (O_PATH): a FIFO does not block, and a device is not touched.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { invalidField, PaddockError } from "@paddock/domain";

/** Of `fcntl.h`; Node does not name it. */
const O_PATH = 0o10000000;
const FIELD = "device.host_device.path";

/** The path by which the file of a descriptor is opened again. */
export const pathOf = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`;

/**
 * Opens a path below one of the directories. Throws INVALID_FIELD, PATH_NOT_ALLOWED for a path outside or through a link, and
 * FILE_NOT_FOUND.
 */
export async function openAllowed(path: string, directories: readonly string[]): Promise<FileHandle> {
  const components = path.split("/").slice(1);
  if (!path.startsWith("/") || path.includes("\0") || components.some((each) => /^\.{0,2}$/.test(each)))
    throw invalidField(FIELD, 'must be an absolute path without ".", ".." and empty parts');
  const directory = directories.find((each) => path.startsWith(`${each.replace(/\/$/, "")}/`));
  if (directory === undefined)
    throw new PaddockError("PATH_NOT_ALLOWED", `the node does not allow the device ${path}`, {
      hint: "the operator names the directories of devices in PADDOCK_DEVICE_DIRECTORIES on the node",
    });
  const below = path.slice(directory.replace(/\/$/, "").length + 1).split("/");
  return await walk(path, directory, below);
}

async function walk(path: string, directory: string, names: readonly string[]): Promise<FileHandle> {
  let at = await openPart(path, directory, O_PATH | constants.O_DIRECTORY);
  for (const [index, name] of names.entries()) {
    const kind = index < names.length - 1 ? constants.O_DIRECTORY : 0;
    await using parent = at;
    at = await openPart(path, `${pathOf(parent)}/${name}`, O_PATH | constants.O_NOFOLLOW | kind);
  }
  const found = await at.stat();
  if (!found.isSymbolicLink()) return at;
  await at.close();
  throw isLink(path);
}

async function openPart(path: string, part: string, flags: number): Promise<FileHandle> {
  try {
    return await open(part, flags);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT")
      throw new PaddockError("FILE_NOT_FOUND", `the node has no file ${path}`, { cause });
    if (code === "ENOTDIR" || code === "ELOOP") throw isLink(path);
    if (code === "ENAMETOOLONG") throw invalidField(FIELD, "has a part that is too long");
    throw cause;
  }
}

const isLink = (path: string): PaddockError =>
  new PaddockError("PATH_NOT_ALLOWED", `a part of ${path} is a symbolic link, or is not a directory`, {
    hint: "name the device by its own path, such as /dev/sdb instead of /dev/disk/by-id/...",
  });
