import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Syncs a directory, so that its entries survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Moves a complete file into place atomically: after a crash, all of it exists or nothing. */
export async function publish(temporary: string, path: string, mode: number): Promise<void> {
  const file = await open(temporary, "r");
  try {
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
