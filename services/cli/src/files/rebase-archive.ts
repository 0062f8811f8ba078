/** An archive of a container, with other names: for a copy from one container to another. */
import {
  ImageError,
  readTar,
  type TarEntry,
  type TarRecord,
  tarEnd,
  tarHeader,
  tarPadding,
} from "@paddock/images";
import { CliError } from "../cli-error.ts";
import { ArchiveBatch } from "./archive-batch.ts";
import type { CopyTally } from "./copy-tally.ts";
import type { EntryNames } from "./entry-names.ts";

export type RebaseOptions = { readonly names: EntryNames; readonly tally: CopyTally };

/** The archive in pieces of about 256 KiB. Devices are left out. Throws `CliError`, and what `source` throws. */
export async function* rebaseArchive(
  source: AsyncIterable<Uint8Array>,
  { names, tally }: RebaseOptions,
): AsyncGenerator<Buffer> {
  const batch = new ArchiveBatch();
  try {
    for await (const entry of readTar(source, { requireEndMarker: true, sparse: true })) {
      const record = renamed(entry, { names, tally });
      if (!record) continue;
      tally.entries += 1;
      batch.push(tarHeader(record));
      for await (const piece of entry.body) {
        tally.bytes += piece.length;
        batch.push(piece);
        if (batch.isFull) yield batch.take();
      }
      batch.push(tarPadding(entry.size));
      if (batch.isFull) yield batch.take();
    }
  } catch (error) {
    throw error instanceof ImageError
      ? new CliError(`the container sent a bad archive: ${error.what}`)
      : error;
  }
  batch.push(tarEnd);
  yield batch.take();
}

function renamed(entry: TarEntry, { names, tally }: RebaseOptions): TarRecord | undefined {
  const path = names.place(entry.path).join("/");
  const { type, link, mode, uid, gid, mtime, mtimeNs, size, sparse, xattrs } = entry;
  if (type === "device") {
    tally.skip(entry.path, "it is a device");
    return undefined;
  }
  // The destination itself stays as it is.
  if (path === "" && type === "directory") return undefined;
  const target = type === "hardlink" ? names.placeLink(entry.path, link).join("/") : link;
  const attributes = { mode, uid, gid, mtime, mtimeNs, xattrs };
  return { type, path, link: target, size, ...(sparse && { sparse }), ...attributes };
}
