import { posix } from "node:path";
import { ImageError, invalidArchive, quoteName } from "./image-error.ts";
import { maxJsonBytes } from "./limits.ts";
import type { Spool } from "./spool.ts";
import { readTar } from "./tar-reader.ts";

/** Where a file of the archive lies in the spool, in bytes. */
export interface ArchiveFile {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** More files than any image archive has; a root file system has more, and is not indexed further. */
const maxFiles = 20_000;

/** The files of an OCI layout or docker archive, by name. Names never become paths on the host. */
export class ArchiveIndex {
  readonly #spool: Spool;
  readonly #files: ReadonlyMap<string, ArchiveFile>;
  readonly #links: ReadonlyMap<string, string>;

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
      const name = posix.normalize(entry.path).replace(/^\.\//, "");
      if (entry.type === "symlink" || entry.type === "hardlink") links.set(name, linkTarget(name, entry));
      if (entry.type !== "file") continue;
      if (files.has(name)) throw invalidArchive(`the archive holds ${quoteName(name)} twice`);
      files.set(name, { name, offset: entry.offset, size: entry.size });
      if (files.size + links.size > maxFiles) break;
    }
    return new ArchiveIndex(spool, files, links);
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** A file by name; old docker archives say "same layer as that one" with a link, followed once. */
  file(name: string): ArchiveFile {
    const file = this.#files.get(name) ?? this.#files.get(this.#links.get(name) ?? "");
    if (file === undefined) throw invalidArchive(`the archive lacks ${quoteName(name)}, which it refers to`);
    return file;
  }

  content(file: ArchiveFile): AsyncIterable<Buffer> {
    return this.#spool.slice(file.offset, file.size);
  }

  /** A small file as bytes. Throws `too_large` beyond 4 MiB. */
  async bytes(file: ArchiveFile): Promise<Buffer> {
    if (file.size > maxJsonBytes)
      throw new ImageError(
        "too_large",
        `${quoteName(file.name)} is ${file.size} bytes long`,
        `a manifest or config may have up to ${maxJsonBytes} bytes`,
      );
    const parts: Buffer[] = [];
    for await (const part of this.content(file)) parts.push(part);
    return Buffer.concat(parts);
  }
}

function linkTarget(name: string, entry: { type: string; link: string }): string {
  return entry.type === "hardlink"
    ? posix.normalize(entry.link)
    : posix.normalize(posix.join(posix.dirname(name), entry.link));
}
