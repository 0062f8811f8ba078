/**
 * Extracts an archive of a container into a local directory.
 *
 * The container decides what the archive has, so nothing of it is trusted. Each directory of a name is opened in the one before,
 * never through a link; files, and links, are made under a temporary name and then take their place, so nothing is written through
 * what is there. Devices and FIFOs are never made. The last file takes its place when the whole archive was verified.
 */
import { lchownSync, linkSync, lstatSync, lutimesSync, symlinkSync } from "node:fs";
import { getSystemErrorMessage } from "node:util";
import { ImageError, readTar, type TarEntry } from "@paddock/images";
import { CliError } from "../cli-error.ts";
import type { CopyTally } from "./copy-tally.ts";
import { type EntryNames, shownName } from "./entry-names.ts";
import { codeOf, NoDirectoryError, OpenDirectory } from "./open-directory.ts";
import { copiedTime, PlacedFile, setAttributes } from "./placed-file.ts";

const IMPLIED_DIRECTORY_MODE = 0o755;
const MAX_LINK_BYTES = 4095;

export type ExtractOptions = {
  /** A directory that exists. */
  readonly directory: string;
  readonly names: EntryNames;
  /** Whether files get the owners in the archive. Otherwise they belong to the caller. */
  readonly keepOwners: boolean;
  readonly tally: CopyTally;
};

/** Throws `CliError`, and what `source` throws. Files that are complete stay. */
export async function extractTree(source: AsyncIterable<Uint8Array>, options: ExtractOptions): Promise<void> {
  using extraction = new Extraction(options);
  try {
    for await (const entry of readTar(source, { requireEndMarker: true, sparse: true }))
      await extraction.take(entry);
    extraction.finish();
  } catch (error) {
    throw error instanceof ImageError
      ? new CliError(`the container sent a bad archive: ${error.what}`)
      : error;
  }
}

class Extraction implements Disposable {
  readonly #options: ExtractOptions;
  readonly #root: OpenDirectory;
  /** The directory of the last entry. */
  #current: { readonly parts: readonly string[]; readonly directory: OpenDirectory } | undefined;
  /** Directories that the archive is in. They get their attributes when it leaves them, because entries change their times. */
  readonly #inside: { readonly parts: readonly string[]; readonly entry: TarEntry }[] = [];
  /** A complete file that has no name yet. */
  #last: { readonly file: PlacedFile; readonly entry: TarEntry } | undefined;

  constructor(options: ExtractOptions) {
    this.#options = options;
    this.#root = OpenDirectory.open(options.directory);
  }

  async take(entry: TarEntry): Promise<void> {
    const { names, tally } = this.#options;
    const parts = names.place(entry.path);
    this.#placeLast();
    this.#leave(parts);
    const name = parts.at(-1);
    if (name === undefined) {
      if (entry.type !== "directory") throw refused(entry, "the destination is a directory");
      tally.entries += 1;
      return;
    }
    try {
      await this.#make(entry, parts, name);
    } catch (error) {
      throw explained(error, entry);
    }
    if (entry.xattrs.size > 0) tally.lost["extended attributes"] += 1;
    if (entry.type === "file" && (entry.mode & 0o6000) !== 0) tally.lost["setuid and setgid bits"] += 1;
  }

  finish(): void {
    this.#placeLast();
    this.#leave([]);
  }

  async #make(entry: TarEntry, parts: readonly string[], name: string): Promise<void> {
    const { keepOwners, tally } = this.#options;
    switch (entry.type) {
      case "directory":
        this.#open(parts.slice(0, -1)).childOrNew(name, 0o700)[Symbol.dispose]();
        this.#inside.push({ parts, entry });
        tally.entries += 1;
        return;
      case "file": {
        const file = new PlacedFile(this.#open(parts.slice(0, -1)), name);
        this.#last = { file, entry };
        await file.write(entry, keepOwners, (bytes) => {
          tally.bytes += bytes;
        });
        return;
      }
      case "symlink":
        this.#symlink(entry, this.#open(parts.slice(0, -1)), name);
        return;
      case "hardlink":
        this.#hardLink(entry, parts, name);
        return;
      case "fifo":
      case "device":
        tally.skip(entry.path, entry.type === "fifo" ? "it is a FIFO" : "it is a device");
        return;
      default:
        entry.type satisfies never;
    }
  }

  #symlink(entry: TarEntry, directory: OpenDirectory, name: string): void {
    if (entry.link === "" || entry.link.length > MAX_LINK_BYTES)
      throw refused(entry, "it is a symbolic link with an empty or overlong target");
    const link = new PlacedFile(directory, name);
    this.#last = { file: link, entry };
    link.link((path) => {
      symlinkSync(Buffer.from(entry.link, "latin1"), path);
      if (this.#options.keepOwners) lchownSync(path, entry.uid, entry.gid);
      lutimesSync(path, copiedTime(entry), copiedTime(entry));
    });
  }

  /** Only a regular file below the destination gets another name. */
  #hardLink(entry: TarEntry, parts: readonly string[], name: string): void {
    const target = this.#options.names.placeLink(entry.path, entry.link);
    using directory = this.#walk(target.slice(0, -1), false);
    const old = directory.at(target.at(-1) ?? "");
    if (!lstatSync(old, { throwIfNoEntry: false })?.isFile())
      throw refused(entry, `it is a hard link to ${shownName(entry.link)}, which is no file of the copy`);
    const link = new PlacedFile(this.#open(parts.slice(0, -1)), name);
    this.#last = { file: link, entry };
    link.link((path) => linkSync(old, path));
  }

  #placeLast(): void {
    if (!this.#last) return;
    const { file, entry } = this.#last;
    try {
      file.place();
    } catch (error) {
      throw explained(error, entry);
    }
    this.#last = undefined;
    this.#options.tally.entries += 1;
  }

  /** The open directory of an entry. It stays open until the next one is. */
  #open(parts: readonly string[]): OpenDirectory {
    if (this.#current && samePath(this.#current.parts, parts)) return this.#current.directory;
    const directory = this.#walk(parts, true);
    this.#current?.directory[Symbol.dispose]();
    this.#current = { parts, directory };
    return directory;
  }

  #walk(parts: readonly string[], create: boolean): OpenDirectory {
    let at = OpenDirectory.open(this.#root.at(".").toString());
    for (const part of parts) {
      using above = at;
      const next = create ? above.childOrNew(part, IMPLIED_DIRECTORY_MODE) : above.child(part);
      if (!next) throw new NoDirectoryError();
      at = next;
    }
    return at;
  }

  /** Sets the attributes of the directories that `next` is not in. */
  #leave(next: readonly string[]): void {
    for (let last = this.#inside.at(-1); last; last = this.#inside.at(-1)) {
      if (isInside(next, last.parts)) return;
      this.#inside.pop();
      try {
        using directory = this.#walk(last.parts, false);
        setAttributes(directory.fd, last.entry, this.#options.keepOwners);
      } catch (error) {
        throw explained(error, last.entry);
      }
    }
  }

  [Symbol.dispose](): void {
    try {
      this.#last?.file.discard();
    } finally {
      this.#current?.directory[Symbol.dispose]();
      this.#root[Symbol.dispose]();
    }
  }
}

const samePath = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && isInside(a, b);

/** Whether a path is in a directory, or is it. */
const isInside = (path: readonly string[], directory: readonly string[]): boolean =>
  directory.every((part, index) => part === path[index]);

const refused = (entry: TarEntry, why: string): CliError =>
  new CliError(`cannot copy ${shownName(entry.path)}: ${why}`);

function explained(error: unknown, entry: TarEntry): unknown {
  if (error instanceof NoDirectoryError)
    return refused(entry, "a symbolic link or a file is in its path, where a directory is expected");
  const errno = error instanceof Error && "errno" in error && typeof error.errno === "number" && error.errno;
  if (!errno) return error;
  const code = codeOf(error);
  if (code === "EISDIR") return refused(entry, "a directory is in its place");
  const failure = refused(entry, getSystemErrorMessage(errno));
  return code === "EPERM"
    ? new CliError(failure.message, { hint: "-a needs the rights to set owners" })
    : failure;
}
