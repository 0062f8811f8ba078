/** Writes tar archives, so that a client can send a local directory as an image. */
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type TarRecord, tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";

/** An entry and its content. The length of the content must equal `size`. */
export type PackedEntry = TarRecord & { readonly content?: Uint8Array | AsyncIterable<Uint8Array> };

/** An archive of the entries, in their order. Throws `RangeError` if the length of a content differs from `size`. */
export async function* packTar(
  entries: Iterable<PackedEntry> | AsyncIterable<PackedEntry>,
): AsyncGenerator<Buffer> {
  for await (const { content, ...record } of entries) {
    const size = content instanceof Uint8Array ? content.byteLength : (record.size ?? 0);
    yield tarHeader({ ...record, size });
    let written = 0;
    for await (const chunk of content instanceof Uint8Array ? [content] : (content ?? [])) {
      written += chunk.byteLength;
      if (written > size) break;
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
    if (written !== size) throw new RangeError(`${record.path} changed its size while being read`);
    yield tarPadding(size);
  }
  yield tarEnd;
}

/**
 * A local directory as an archive, for import as `rootfs` or, if it is an OCI layout, as `oci`. Owners, modes, times, symbolic and
 * hard links are kept. Sockets, devices and extended attributes, which Node cannot read, are left out.
 */
export function packDirectory(directory: string): AsyncGenerator<Buffer> {
  return packTar(directoryEntries(Buffer.from(directory), "", new Map()));
}

async function* directoryEntries(
  directory: Buffer,
  prefix: string,
  inodes: Map<string, string>,
): AsyncGenerator<PackedEntry> {
  const names = (await readdir(directory, { encoding: "buffer" })).sort(Buffer.compare);
  for (const name of names) {
    const path = Buffer.concat([directory, Buffer.from("/"), name]);
    const entry = await fileEntry(path, join(prefix, name.toString("latin1")), inodes);
    if (entry === undefined) continue;
    yield entry;
    if (entry.type === "directory") yield* directoryEntries(path, entry.path, inodes);
  }
}

async function fileEntry(
  source: Buffer,
  path: string,
  inodes: Map<string, string>,
): Promise<PackedEntry | undefined> {
  const stats = await lstat(source);
  const { uid, gid, mode } = stats;
  const record = {
    path,
    mode: mode & 0o7777,
    uid,
    gid,
    mtime: Math.max(0, Math.floor(stats.mtimeMs / 1000)),
  };
  if (stats.isDirectory()) return { ...record, type: "directory" };
  if (stats.isFIFO()) return { ...record, type: "fifo" };
  if (stats.isSymbolicLink()) {
    const link = (await readlink(source, { encoding: "buffer" })).toString("latin1");
    return { ...record, type: "symlink", link };
  }
  if (!stats.isFile()) return undefined;
  const inode = `${stats.dev}:${stats.ino}`;
  const link = stats.nlink > 1 ? inodes.get(inode) : undefined;
  if (link !== undefined) return { ...record, type: "hardlink", link };
  inodes.set(inode, path);
  return { ...record, type: "file", size: stats.size, content: createReadStream(source) };
}
