import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { convertArchive } from "../convert-archive.ts";
import { type ImageStore, type OpenImageStoreOptions, openImageStore } from "../image-store.ts";

/** A directory that is removed after the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "images-test-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/**
 * An empty store for `amd64` images that is removed after the test. It converts in the test's process, which is faster.
 * `conversion-process.test.ts` tests the conversion in a separate process.
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

/** Paths of all files in the store, relative to its root. */
export async function storeFiles(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}
