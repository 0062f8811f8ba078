import { posix } from "node:path";
import { type Compression, sniffCompression, supported } from "./decompress.ts";
import { ImageError, invalidArchive, quoteName } from "./image-error.ts";
import { maxJsonBytes, maxTotalJsonBytes } from "./limits.ts";
import type { Spool } from "./spool.ts";
import type { TarEntry } from "./tar-entry.ts";
import { readTar } from "./tar-reader.ts";

/** A file of the archive: its position in the spool, in bytes. */
export interface ArchiveFile {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** No image archive has more files. A root file system may, and indexing stops there. */
const maxFiles = 20_000;

/** No name in an image archive is longer. A root file system may have longer names, which are not indexed. */
const maxNameBytes = 1024;

/**
 * The files of an OCI layout or docker archive, by name. Of two files with the same name the last one is used, as when unpacking.
 * Names never become paths on the host.
 */
export class ArchiveIndex {
  readonly #spool: Spool;
  readonly #files: ReadonlyMap<string, ArchiveFile>;
  readonly #links: ReadonlyMap<string, string>;
  #jsonBytes = 0;

  private constructor(
    spool: Spool,
    files: ReadonlyMap<string, ArchiveFile>,
    links: ReadonlyMap<string, string>,
  ) {
    this.#spool = spool;
    this.#files = files;
    this.#links = links;
  }

  static async read(spool: Spool, signal: AbortSignal): Promise<ArchiveIndex> {
    const files = new Map<string, ArchiveFile>();
    const links = new Map<string, string>();
    const entries = readTar(spool.slice(0, spool.size), { requireEndMarker: true });
    for await (const entry of entries) {
      signal.throwIfAborted();
      if (entry.path.length > maxNameBytes || entry.link.length > maxNameBytes) continue;
      const name = indexedName(entry.path);
      if (entry.type === "symlink" || entry.type === "hardlink") links.set(name, linkTarget(name, entry));
      if (entry.type !== "file") continue;
      files.set(name, { name, offset: entry.offset, size: entry.size });
      if (files.size + links.size > maxFiles) break;
    }
    return new ArchiveIndex(spool, files, links);
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** Whether the name of any file matches. */
  hasAny(pattern: RegExp): boolean {
    return [...this.#files.keys()].some((name) => pattern.test(name));
  }

  /** A file by name, or undefined. Follows one link, because old docker archives use links for equal layers. */
  find(name: string): ArchiveFile | undefined {
    const key = indexedName(name);
    return this.#files.get(key) ?? this.#files.get(this.#links.get(key) ?? "");
  }

  /** Like `find`. Throws `invalid_archive` if the file is missing. */
  file(name: string): ArchiveFile {
    const file = this.find(name);
    if (file === undefined)
      throw invalidArchive(`the archive refers to ${quoteName(name)}, which is missing`);
    return file;
  }

  content(file: ArchiveFile): AsyncIterable<Buffer> {
    return this.#spool.slice(file.offset, file.size);
  }

  /** The compression of a layer, detected from its content. Throws `unsupported`. */
  async compression(layer: ArchiveFile): Promise<Compression> {
    const start = this.content({ ...layer, size: Math.min(layer.size, 16) });
    for await (const bytes of start) return supported(sniffCompression(bytes), "a layer");
    return "none";
  }

  /** A document as bytes. Throws `too_large` beyond 4 MiB, or beyond 64 MiB for all documents read. */
  async bytes(file: ArchiveFile): Promise<Buffer> {
    if (file.size > maxJsonBytes)
      throw new ImageError(
        "too_large",
        `${quoteName(file.name)} is ${file.size} bytes long`,
        `a manifest or config may have up to ${maxJsonBytes} bytes`,
      );
    this.#jsonBytes += file.size;
    if (this.#jsonBytes > maxTotalJsonBytes)
      throw new ImageError(
        "too_large",
        `the manifests and configs in the archive exceed ${maxTotalJsonBytes} bytes`,
        "export one image per archive",
      );
    const parts: Buffer[] = [];
    for await (const part of this.content(file)) parts.push(part);
    return Buffer.concat(parts);
  }
}

function indexedName(path: string): string {
  return posix.normalize(path).replace(/^(?:\.?\/)+/, "");
}

function linkTarget(name: string, entry: Pick<TarEntry, "type" | "link">): string {
  return indexedName(entry.type === "hardlink" ? entry.link : posix.join(posix.dirname(name), entry.link));
}
