import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { convertArchive } from "../convert-archive.ts";
import { type ImageStore, type OpenImageStoreOptions, openImageStore } from "../image-store.ts";

/** A directory that goes away with the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "images-test-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/**
 * An empty store for `amd64` images that goes away with the test. It converts in the test's own process, which is quicker;
 * that a process of its own does the same is tested where that is.
 */
export async function temporaryStore(
  t: TestContext,
  options: Partial<OpenImageStoreOptions> = {},
): Promise<{ store: ImageStore; root: string }> {
  const root = options.root ?? (await temporaryDirectory(t));
  const settings: OpenImageStoreOptions = {
    architecture: "amd64",
    limits: { minFreeBytes: 0 },
    convert: convertArchive,
    ...options,
    root,
  };
  return { store: await openImageStore(settings), root };
}

/** Everything in the store that is not a directory, relative to it. */
export async function storeFiles(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}
