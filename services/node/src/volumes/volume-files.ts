/**
 * The files of volumes: sparse, raw, each with a file system that only guests read.
 *
 *     <state>/volumes/               root, 0700
 *         <file id>.ext4             the VM's user, 0600, or root, 0444 while sandboxes read it
 *         <file id>.new              a file that is being created
 *
 * The content of a file is a tenant's, so nothing on the host parses it: no mount, no check, no repair. A VM reaches a file by a
 * hard link in its own directory, which no other VM can enter.
 */
import { execFile } from "node:child_process";
import { constants, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { copyFile, link, open, rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { PaddockError } from "@paddock/domain";
import type { CopyMethod } from "../record/volume-record.ts";

const run = promisify(execFile);

export type VolumeLink = {
  /** Where the link is created; an existing one is replaced. */
  readonly path: string;
  /** User and group of the VM. */
  readonly uid: number;
  readonly readOnly: boolean;
};

export type VolumeFilesOptions = {
  readonly stateDir: string;
  /** Creates a file with an empty file system of this size. */
  readonly makeFileSystem: (path: string, bytes: number) => Promise<void>;
};

export type CopyOptions = {
  readonly signal: AbortSignal;
  /** Called before bytes are copied; throws when there is no room for them. */
  readonly requireRoom: () => Promise<void>;
};

export class VolumeFiles {
  readonly #dir: string;
  readonly #makeFileSystem: VolumeFilesOptions["makeFileSystem"];

  private constructor(dir: string, makeFileSystem: VolumeFilesOptions["makeFileSystem"]) {
    this.#dir = dir;
    this.#makeFileSystem = makeFileSystem;
  }

  static open({ stateDir, makeFileSystem }: VolumeFilesOptions): VolumeFiles {
    const dir = join(stateDir, "volumes");
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return new VolumeFiles(dir, makeFileSystem);
  }

  /** Creates a file with an empty file system. On failure there is none. Throws NO_DISK_SPACE. */
  async create(fileId: string, bytes: number): Promise<void> {
    await this.#complete(fileId, (path) => this.#makeFileSystem(path, bytes));
  }

  /**
   * Creates a copy of a file, extended to this size. It shares blocks with its source if the host's file system can; otherwise
   * only the blocks in use are copied. On failure there is none. Throws NO_DISK_SPACE.
   */
  async copy(sourceId: string, fileId: string, bytes: number, options: CopyOptions): Promise<CopyMethod> {
    return await this.#complete(fileId, async (path) => {
      const method = await copyOf(this.#path(sourceId), path, options);
      await truncate(path, bytes);
      return method;
    });
  }

  /** Creates a file aside, and gives it its name when all of it is on disk: its row refers to a complete file. */
  async #complete<T>(fileId: string, make: (path: string) => Promise<T>): Promise<T> {
    const aside = join(this.#dir, `${fileId}.new`);
    try {
      const made = await make(aside);
      await using file = await open(aside, constants.O_RDWR | constants.O_NOFOLLOW);
      await file.chown(process.getuid?.() ?? 0, process.getgid?.() ?? 0);
      await file.chmod(0o600);
      await file.sync();
      await rename(aside, this.#path(fileId));
      await using directory = await open(this.#dir, constants.O_RDONLY | constants.O_DIRECTORY);
      await directory.sync();
      return made;
    } catch (error) {
      await rm(aside, { force: true });
      await rm(this.#path(fileId), { force: true });
      throw explain(error);
    }
  }

  /** Extends a file to this size, at once. A file of this size or larger is not changed. */
  grow(fileId: string, bytes: number): void {
    const path = this.#path(fileId);
    if (statSync(path).size < bytes) truncateSync(path, bytes);
  }

  /** Bytes of the disk that a file takes; 0 if it does not exist. */
  async usedBytes(fileId: string): Promise<number> {
    const { blocks } = await stat(this.#path(fileId)).catch(() => ({ blocks: 0 }));
    return blocks * 512;
  }

  /** Removes a file. Succeeds if it does not exist. */
  async remove(fileId: string): Promise<void> {
    await rm(this.#path(fileId), { force: true });
  }

  /** Removes the files that are not in `known`, at the start of the daemon. Returns their names. */
  sweep(known: ReadonlySet<string>): readonly string[] {
    const names = readdirSync(this.#dir).filter((name) => !known.has(name.replace(/\.ext4$/, "")));
    for (const name of names) rmSync(join(this.#dir, name), { force: true });
    return names;
  }

  /**
   * Gives a VM a link to a file, with the right to write or only to read. Throws VOLUME_IN_USE if another VM has a link that
   * excludes this one, such as the VM of a sandbox whose record cannot be read.
   */
  async link(fileId: string, { path, uid, readOnly }: VolumeLink): Promise<void> {
    await rm(path, { force: true });
    await using file = await open(this.#path(fileId), constants.O_RDONLY | constants.O_NOFOLLOW);
    const { nlink, mode } = await file.stat();
    if (nlink > 1 && !(readOnly && (mode & 0o222) === 0))
      throw new PaddockError("VOLUME_IN_USE", "another VM of this node has the file of the volume", {
        hint: "delete the sandbox whose record cannot be read, with force",
      });
    const owner = readOnly ? (process.getuid?.() ?? 0) : uid;
    await file.chown(owner, owner);
    await file.chmod(readOnly ? 0o444 : 0o600);
    await link(this.#path(fileId), path);
  }

  #path(fileId: string): string {
    return join(this.#dir, `${fileId}.ext4`);
  }
}

async function copyOf(
  source: string,
  path: string,
  { signal, requireRoom }: CopyOptions,
): Promise<CopyMethod> {
  const isCloned = await copyFile(
    source,
    path,
    constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE,
  ).then(
    () => true,
    () => false,
  );
  if (isCloned) return "reflink";
  await rm(path, { force: true });
  await requireRoom();
  await run("cp", ["--sparse=always", "--reflink=never", "--", source, path], { signal });
  return "copy";
}

/**
 * Creates a file with an ext4 for a volume. `makeExt4` makes it as that of a writable layer; its root directory then gets
 * empty, because programs such as initdb refuse a directory that is not.
 */
export const makeVolumeFileSystem =
  (makeExt4: (path: string, bytes: number) => Promise<void>) =>
  async (path: string, bytes: number): Promise<void> => {
    await makeExt4(path, bytes);
    await run("debugfs", ["-w", "-R", "rmdir lost+found", path], { timeout: 30_000 });
  };

function explain(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof PaddockError) return error;
  if (error.name === "AbortError") return error.cause ?? error;
  const text = "stderr" in error ? String(error.stderr) : error.message;
  return /No space left|ENOSPC/.test(text)
    ? new PaddockError("NO_DISK_SPACE", "the node has no space for the volume", { cause: error })
    : error;
}
