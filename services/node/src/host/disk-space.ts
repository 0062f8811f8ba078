import { statfs } from "node:fs/promises";

/** Free bytes of the file system that holds a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Size of the file system that holds a path, in bytes. */
export async function totalBytes(path: string): Promise<number> {
  const { blocks, bsize } = await statfs(path);
  return blocks * bsize;
}
