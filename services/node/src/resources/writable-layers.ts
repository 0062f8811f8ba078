/**
 * Writable layers: sparse ext4 files.
 *
 * mke2fs takes 27 ms for any size, copying an existing empty file system 5 ms (measured, 1 GiB, ext4 host). So an empty file
 * system of a few sizes is kept and copied, as a reflink where the host's file system supports it. That of the default size is
 * created at start-up.
 */

import { execFile } from "node:child_process";
import { mkdir, open, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { DEFAULT_LAYER_BYTES, PaddockError } from "@paddock/domain";

const run = promisify(execFile);

const TIMEOUT_MS = 30_000;
const BLOCK_BYTES = 4096;
/** Clients choose sizes, and each kept one takes disk space: layers of further sizes are created without a template. */
const KEPT_SIZES = 8;
const FLAGS = ["-q", "-F", "-t", "ext4", "-m", "0", "-b", String(BLOCK_BYTES)];
const EXTENDED = ["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"];

export type LayerRequest = {
  readonly path: string;
  /**
   * Where the layer is created before it is renamed: on the same file system, in a directory that only the daemon can access.
   */
  readonly aside: string;
  readonly bytes: number;
  /** The layer's user and group. */
  readonly uid: number;
};

export class WritableLayers {
  readonly #dir: string;
  readonly #templates = new Map<number, Promise<string>>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** `dir` has the empty file systems. It is recreated, because an earlier daemon may have died while creating one. */
  static async open(dir: string): Promise<WritableLayers> {
    await rm(dir, { recursive: true, force: true });
    const layers = new WritableLayers(dir);
    // On a full disk there is none yet, but the daemon starts: a request that needs it creates it, or gets the error.
    await layers.#template(DEFAULT_LAYER_BYTES)?.catch(() => undefined);
    return layers;
  }

  /**
   * Creates a file with an empty file system of this size, accessible to this user only, and replaces any existing file. Throws
   * NO_DISK_SPACE.
   */
  async create({ path, aside, bytes, uid }: LayerRequest): Promise<void> {
    try {
      const size = Math.floor(bytes / BLOCK_BYTES) * BLOCK_BYTES;
      const template = await this.#template(size);
      await rm(aside, { force: true });
      // The user gets the file when it is complete and no other user can change a path to it.
      await using file = await open(aside, "wx", 0o600);
      if (template === undefined) await makeFileSystem(aside, size);
      else
        await run("cp", ["--sparse=always", "--reflink=auto", "--", template, aside], {
          timeout: TIMEOUT_MS,
        });
      await file.chown(uid, uid);
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true });
      throw explain(error, bytes);
    }
  }

  /** The template of a size, if that size is kept. A failed one is tried again. */
  #template(bytes: number): Promise<string> | undefined {
    const known = this.#templates.get(bytes);
    if (known !== undefined || this.#templates.size >= KEPT_SIZES) return known;
    const template = this.#makeTemplate(bytes);
    this.#templates.set(bytes, template);
    template.catch(() => this.#templates.delete(bytes));
    return template;
  }

  /** Created under another name: only a complete template has its final name. */
  async #makeTemplate(bytes: number): Promise<string> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const path = join(this.#dir, `${bytes}.ext4`);
    const aside = `${path}.new`;
    try {
      await makeFileSystem(aside, bytes);
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    return path;
  }
}

async function makeFileSystem(path: string, bytes: number): Promise<void> {
  await writeFile(path, "", { mode: 0o600 });
  await truncate(path, bytes);
  await run("mke2fs", [...FLAGS, ...EXTENDED, "--", path], { timeout: TIMEOUT_MS });
}

function explain(error: unknown, bytes: number): unknown {
  if (!(error instanceof Error)) return error;
  const text = "stderr" in error ? String(error.stderr) : error.message;
  if (/No space left|ENOSPC/.test(text))
    return new PaddockError("NO_DISK_SPACE", "the node has no space for a writable layer", { cause: error });
  return new Error(`cannot create a writable layer of ${bytes} bytes: ${text.slice(0, 500)}`, {
    cause: error,
  });
}
