import { statfs } from "node:fs/promises";

/** Free bytes of the file system that holds a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
