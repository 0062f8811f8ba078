import { statfs } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";

/** Free bytes of the file system that holds a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Throws NO_DISK_SPACE when less is free than must stay free. */
export async function requireDiskSpace({
  freeDiskBytes,
  diskFloorBytes,
}: {
  readonly freeDiskBytes: () => Promise<number>;
  readonly diskFloorBytes: number;
}): Promise<void> {
  const free = await freeDiskBytes();
  if (free < diskFloorBytes)
    throw new PaddockError(
      "NO_DISK_SPACE",
      `the node has ${free} bytes of disk free, ${diskFloorBytes} must stay free`,
      {
        hint: "delete images or stopped sandboxes",
      },
    );
}
