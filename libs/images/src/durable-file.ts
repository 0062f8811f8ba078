import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Makes a directory's entries survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Moves a finished file into place: all of it is there after a crash, or none of it. */
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
