/**
 * A local file or directory as an archive.
 *
 * Kept: owners, modes, times, symbolic and hard links, holes. Not kept: extended attributes, which Node.js cannot read. Sockets,
 * FIFOs and devices are left out. Directories are read as the walk goes, so that a directory of any size takes no memory.
 */
import {
  closeSync,
  constants,
  type Dir,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { getSystemErrorMessage } from "node:util";
import { type SparseMap, type TarRecord, tarEnd, tarHeader, tarPadding } from "@paddock/images";
import { CliError } from "../cli-error.ts";
import { ArchiveBatch } from "./archive-batch.ts";
import type { CopyTally } from "./copy-tally.ts";
import { shownName } from "./entry-names.ts";
import { hasHoles, readAt, sparseParts } from "./sparse-parts.ts";

/** Not blocking: what was a file when it was looked at may be a FIFO when it is opened. */
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CHUNK_BYTES = 256 * 1024;
/** Files with several names that are known at a time. Others are copied under each name. */
const MAX_LINKED = 100_000;
const SLASH = Buffer.from("/");

type Level = { readonly directory: Dir; readonly path: Buffer; readonly name: string };

export type PackOptions = {
  /** The name of the file or directory in the archive, a byte string; undefined for the content of a directory. */
  readonly name: string | undefined;
  readonly tally: CopyTally;
};

/** The archive in pieces of about 256 KiB. `path` is not followed if it is a link. Throws `CliError`. */
export async function* packTree(path: string, options: PackOptions): AsyncGenerator<Buffer> {
  const packing = new Packing(options.tally);
  const levels: Level[] = [];
  try {
    yield* packing.add({ path: Buffer.from(path), name: options.name }, levels);
    for (let level = levels.at(-1); level; level = levels.at(-1)) {
      const child = attempt(level.name, () => level?.directory.readSync() ?? undefined);
      if (!child) {
        levels.pop()?.directory.closeSync();
        continue;
      }
      const childPath = Buffer.concat([level.path, SLASH, Buffer.from(child.name, "latin1")]);
      const name = level.name === "" ? child.name : `${level.name}/${child.name}`;
      yield* packing.add({ path: childPath, name }, levels);
    }
    packing.batch.push(tarEnd);
    yield packing.batch.take();
  } finally {
    for (const { directory } of levels) directory.closeSync();
  }
}

type Found = { readonly path: Buffer; readonly name: string | undefined };

class Packing {
  readonly batch = new ArchiveBatch();
  readonly #tally: CopyTally;
  readonly #linked = new Map<string, { readonly name: string; left: number }>();

  constructor(tally: CopyTally) {
    this.#tally = tally;
  }

  /** Adds what is at a path. A directory is put on the levels, to be read later. */
  async *add({ path, name }: Found, levels: Level[]): AsyncGenerator<Buffer> {
    const shown = name ?? path.toString("latin1");
    const stats = attempt(shown, () => lstatSync(path));
    if (stats.isDirectory()) {
      if (name !== undefined) this.#push({ type: "directory", path: name, ...attributesOf(stats) });
      const directory = attempt(shown, () => opendirSync(path, { encoding: "latin1" }));
      levels.push({ directory, path, name: name ?? "" });
    } else if (name === undefined) {
      throw new CliError(`${shownName(shown)} is not a directory`);
    } else if (stats.isSymbolicLink()) {
      const link = attempt(shown, () => readlinkSync(path, { encoding: "latin1" }));
      this.#push({ type: "symlink", path: name, link, ...attributesOf(stats) });
    } else if (stats.isFile()) {
      yield* this.#file(path, name);
    } else {
      this.#tally.skip(name, "it is a socket, a FIFO or a device");
    }
    if (this.batch.isFull) yield this.batch.take();
  }

  #push(record: TarRecord): void {
    this.#tally.entries += 1;
    this.batch.push(tarHeader(record));
  }

  async *#file(path: Buffer, name: string): AsyncGenerator<Buffer> {
    const fd = attempt(name, () => openSync(path, OPEN));
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) return this.#tally.skip(name, "it was replaced while it was read");
      const link = this.#earlierName(stats, name);
      if (link !== undefined)
        return this.#push({ type: "hardlink", path: name, link, ...attributesOf(stats) });
      const sparse = hasHoles(stats) ? await sparseParts(fd, stats.size) : undefined;
      yield* this.#content({ fd, name, stats, sparse });
    } finally {
      closeSync(fd);
    }
  }

  /** The name under which the same file is in the archive already. */
  #earlierName(stats: Stats, name: string): string | undefined {
    if (stats.nlink < 2) return undefined;
    const key = `${stats.dev}:${stats.ino}`;
    const known = this.#linked.get(key);
    if (!known) {
      if (this.#linked.size < MAX_LINKED) this.#linked.set(key, { name, left: stats.nlink - 1 });
      else this.#tally.lost["hard links"] += 1;
      return undefined;
    }
    known.left -= 1;
    if (known.left <= 0) this.#linked.delete(key);
    return known.name;
  }

  async *#content({ fd, name, stats, sparse }: OpenFile): AsyncGenerator<Buffer> {
    const parts = sparse?.segments ?? [{ offset: 0, length: stats.size }];
    const size = parts.reduce((sum, { length }) => sum + length, 0);
    this.#push({
      type: "file",
      path: name,
      size,
      ...(sparse && { sparse }),
      ...attributesOf(stats),
    });
    let isShort = false;
    for (const { offset, length } of parts)
      for (let at = 0; at < length; at += CHUNK_BYTES) {
        const piece = Buffer.alloc(Math.min(CHUNK_BYTES, length - at));
        isShort = (await readFully(fd, piece, offset + at)) < piece.length || isShort;
        this.#tally.bytes += piece.length;
        this.batch.push(piece);
        if (this.batch.isFull) yield this.batch.take();
      }
    this.batch.push(tarPadding(size));
    if (isShort || fstatSync(fd).size !== stats.size) this.#noteChange(name, isShort);
  }

  #noteChange(name: string, isShort: boolean): void {
    this.#tally.skipped += 1;
    const what = isShort ? "its missing bytes are zeros" : "its new bytes are left out";
    this.#tally.warn(`${shownName(name)} changed its size while it was read: ${what}`);
  }
}

type OpenFile = {
  readonly fd: number;
  readonly name: string;
  readonly stats: Stats;
  readonly sparse: SparseMap | undefined;
};

/** Times to the microsecond: a finer one does not fit in a number of milliseconds. */
function attributesOf({ mode, uid, gid, mtimeMs }: Stats) {
  const microseconds = Math.round(mtimeMs * 1000);
  const mtime = Math.floor(microseconds / 1e6);
  return { mode: mode & 0o7777, uid, gid, mtime, mtimeNs: (microseconds - mtime * 1e6) * 1000 };
}

/** Fills the buffer. Returns the number of bytes before the end of the file. A small piece is read at once: that is faster. */
async function readFully(fd: number, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const [rest, at] = [buffer.length - done, position + done];
    const count =
      buffer.length < CHUNK_BYTES
        ? readSync(fd, buffer, done, rest, at)
        : (await readAt(fd, buffer, done, rest, at)).bytesRead;
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** `name` is a byte string. */
function attempt<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const errno =
      error instanceof Error && "errno" in error && typeof error.errno === "number" && error.errno;
    throw errno ? new CliError(`cannot read ${shownName(name)}: ${getSystemErrorMessage(errno)}`) : error;
  }
}
