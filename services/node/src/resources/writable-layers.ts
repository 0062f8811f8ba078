/**
 * Writable layers: sparse ext4 files.
 *
 * mke2fs takes 27 ms for any size, copying an empty file system that was made before takes 5 ms (measured, 1 GiB, ext4 host), so
 * one empty file system of a few sizes is kept and copied, as a reflink where the host's file system can. That of the default
 * size is there before a sandbox asks for it.
 */

import { execFile } from "node:child_process";
import { mkdir, open, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { PaddockError } from "@paddock/domain";
import { DEFAULT_LAYER_BYTES } from "../record/container-disks.ts";

const run = promisify(execFile);

const TIMEOUT_MS = 30_000;
const BLOCK_BYTES = 4096;
/** Sizes are a client's choice, and each that is kept takes room: later ones are made where they are wanted. */
const KEPT_SIZES = 8;
const FLAGS = ["-q", "-F", "-t", "ext4", "-m", "0", "-b", String(BLOCK_BYTES)];
const EXTENDED = ["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"];

export type LayerRequest = {
  readonly path: string;
  /** Where it is made first: on the same file system, in a directory that is the daemon's alone. */
  readonly aside: string;
  readonly bytes: number;
  /** Its user and group. */
  readonly uid: number;
};

export class WritableLayers {
  readonly #dir: string;
  readonly #templates = new Map<number, Promise<string>>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** `dir` keeps the empty file systems; it is recreated: an earlier daemon may have died while it made one. */
  static async open(dir: string): Promise<WritableLayers> {
    await rm(dir, { recursive: true, force: true });
    const layers = new WritableLayers(dir);
    // On a full disk there is none yet, and a daemon all the same: whoever wants one makes it, or is told why not.
    await layers.#template(DEFAULT_LAYER_BYTES)?.catch(() => undefined);
    return layers;
  }

  /**
   * Makes a file with an empty file system of that size, for that user alone, in the place of whatever has its name. Throws
   * NO_DISK_SPACE.
   */
  async create({ path, aside, bytes, uid }: LayerRequest): Promise<void> {
    try {
      const size = Math.floor(bytes / BLOCK_BYTES) * BLOCK_BYTES;
      const template = await this.#template(size);
      await rm(aside, { force: true });
      // Its user has it when it is whole and no path leads to it that others may change.
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

  /** The empty file system of a size that is kept; one that could not be made is tried again. */
  #template(bytes: number): Promise<string> | undefined {
    const known = this.#templates.get(bytes);
    if (known !== undefined || this.#templates.size >= KEPT_SIZES) return known;
    const template = this.#makeTemplate(bytes);
    this.#templates.set(bytes, template);
    template.catch(() => this.#templates.delete(bytes));
    return template;
  }

  /** Made aside: only a whole one has the name. */
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
  return new Error(`could not make a writable layer of ${bytes} bytes: ${text.slice(0, 500)}`, {
    cause: error,
  });
}
