/** A file under a temporary name, until it is complete and takes its place. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import type { TarEntry } from "@paddock/images";
import { codeOf, type OpenDirectory } from "./open-directory.ts";

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export const temporaryName = (): string => `.paddock-cp-${randomBytes(9).toString("base64url")}`;

/** Permissions of a copy. Setuid and setgid would give the rights of a user here to a program of the container. */
export const copiedMode = (entry: Pick<TarEntry, "mode" | "type">): number =>
  entry.mode & (entry.type === "directory" ? 0o1777 : 0o777);

/** The time of a copy, in seconds since 1970. Node.js sets no earlier one. */
export const copiedTime = ({ mtime, mtimeNs }: Pick<TarEntry, "mtime" | "mtimeNs">): number =>
  Math.max(0, mtime + mtimeNs / 1e9);

/** Sets owner, permissions and times of an open file or directory. */
export function setAttributes(fd: number, entry: TarEntry, keepOwners: boolean): void {
  if (keepOwners) fchownSync(fd, entry.uid, entry.gid);
  fchmodSync(fd, copiedMode(entry));
  futimesSync(fd, copiedTime(entry), copiedTime(entry));
}

export class PlacedFile {
  readonly #directory: OpenDirectory;
  readonly #name: string;
  readonly #temporary = temporaryName();
  #isLink = false;

  /** The directory must stay open until the file is placed or discarded. */
  constructor(directory: OpenDirectory, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  /** Makes a link: calls `make` with the temporary path. */
  link(make: (path: Buffer) => void): void {
    this.#isLink = true;
    make(this.#directory.at(this.#temporary));
  }

  /** Writes the content of an entry. `onBytes` is called with the size of each piece. */
  async write(entry: TarEntry, keepOwners: boolean, onBytes: (bytes: number) => void): Promise<void> {
    const fd = openSync(this.#directory.at(this.#temporary), CREATE, 0o600);
    try {
      if (entry.sparse) ftruncateSync(fd, entry.sparse.realSize);
      await writeParts(fd, entry, onBytes);
      setAttributes(fd, entry, keepOwners);
    } finally {
      closeSync(fd);
    }
  }

  /** Gives the file its name, in place of another one. */
  place(): void {
    renameSync(this.#directory.at(this.#temporary), this.#directory.at(this.#name));
    // The system keeps both names of one file.
    if (this.#isLink) this.discard();
  }

  discard(): void {
    try {
      unlinkSync(this.#directory.at(this.#temporary));
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }
}

async function writeParts(fd: number, entry: TarEntry, onBytes: (bytes: number) => void): Promise<void> {
  const parts = entry.sparse?.segments ?? [{ offset: 0, length: entry.size }];
  let part = 0;
  let inPart = 0;
  for await (const piece of entry.body) {
    for (let at = 0; at < piece.length; ) {
      const { offset, length } = parts[part] ?? { offset: 0, length: 0 };
      if (inPart >= length) {
        part += 1;
        inPart = 0;
        if (part >= parts.length) return;
        continue;
      }
      const written = writeSync(fd, piece, at, Math.min(piece.length - at, length - inPart), offset + inPart);
      at += written;
      inPart += written;
      onBytes(written);
    }
  }
}
