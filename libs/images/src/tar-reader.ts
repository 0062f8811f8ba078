/**
 * A strict streaming reader for tar archives of unknown origin.
 *
 * It differs from general-purpose readers as container images require. Names, link targets and extended attributes are *byte
 * strings* (one character per byte) and stay unchanged; a reader that decodes pax records as UTF-8 destroys the binary value of
 * `security.capability`. Every header checksum and pax record is verified, extension headers are bounded, and unknown features
 * are refused. Sources: POSIX.1-2017 pax "ustar Interchange Format" and "pax Header File Format"; GNU tar manual, "Basic Tar
 * Format".
 */
import { ByteReader } from "./byte-reader.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import type { TarEntry } from "./tar-entry.ts";
import { blockBytes, decodeHeader, entryType, type RawHeader } from "./tar-header.ts";
import { applyPax, type Header, type PaxRecords, parsePax, sparseSize } from "./tar-pax.ts";
import { readSparseMap } from "./tar-sparse.ts";

export interface ReadTarOptions {
  /** Refuse an archive without an end marker. For archives that have no digest to verify. */
  readonly requireEndMarker: boolean;
  /** Accept sparse files in the form of GNU tar's pax format 1.0. By default they are refused. */
  readonly sparse?: boolean;
}

const maxExtensionBytes = 1024 ** 2;

/** The entries of an archive, in order. Throws `invalid_archive` or `unsupported`. */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  options: ReadTarOptions,
): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(source);
  try {
    for (;;) {
      const next = await nextHeader(reader, options);
      if (next === undefined) break;
      const header = await withSparseMap(reader, next);
      const body = new EntryBody(reader, header.size);
      yield { ...header, offset: reader.position, body };
      await body.skipRest();
    }
    await reader.drain();
  } finally {
    await reader.close();
  }
}

/** A header, and the size with holes if its file is sparse. */
type Next = { readonly header: Header; readonly realSize: number | undefined };

async function withSparseMap(
  reader: ByteReader,
  { header, realSize }: Next,
): Promise<Omit<TarEntry, "offset" | "body">> {
  if (realSize === undefined || header.type !== "file") return header;
  const { map, bytes } = await readSparseMap(reader, { size: header.size, realSize });
  return { ...header, size: header.size - bytes, sparse: map };
}

async function nextHeader(reader: ByteReader, options: ReadTarOptions): Promise<Next | undefined> {
  const sparse = options.sparse === true;
  let pax: PaxRecords | undefined;
  let longPath: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const raw = await readHeader(reader, options);
    if (raw === undefined) {
      if (pax !== undefined || longPath !== undefined || longLink !== undefined)
        throw invalidArchive("the tar archive ends after an extension header");
      return undefined;
    }
    switch (raw.typeflag) {
      case "x":
        pax = parsePax(await extension(reader, raw), { scope: "entry", sparse });
        break;
      case "g":
        parsePax(await extension(reader, raw), { scope: "global", sparse });
        break;
      case "L":
        longPath = cString(await extension(reader, raw));
        break;
      case "K":
        longLink = cString(await extension(reader, raw));
        break;
      default:
        return {
          header: applyPax(
            plainHeader({ ...raw, path: longPath ?? raw.path, link: longLink ?? raw.link }),
            pax,
          ),
          realSize: sparseSize(pax),
        };
    }
  }
}

function plainHeader(raw: RawHeader): Header {
  const { typeflag, ...rest } = raw;
  return { ...rest, type: entryType(typeflag, raw.path), mtimeNs: 0, xattrs: noXattrs };
}

const noXattrs: ReadonlyMap<string, string> = new Map();

async function readHeader(reader: ByteReader, options: ReadTarOptions): Promise<RawHeader | undefined> {
  const block = await reader.read(blockBytes);
  if (block === undefined) {
    if (!options.requireEndMarker) return undefined;
    throw invalidArchive("the tar archive ends without its end marker");
  }
  return isZero(block) ? undefined : decodeHeader(block);
}

async function extension(reader: ByteReader, raw: RawHeader): Promise<Buffer> {
  if (raw.size > maxExtensionBytes)
    throw new ImageError(
      "too_large",
      `a tar extension header of ${raw.size} bytes`,
      `the limit is ${maxExtensionBytes} bytes`,
    );
  if (raw.size === 0) return Buffer.alloc(0);
  const content = await reader.read(raw.size);
  if (content === undefined) throw invalidArchive("the tar archive ends in the middle of a header");
  await reader.skip(padding(raw.size));
  return content;
}

class EntryBody implements AsyncIterable<Buffer> {
  readonly #reader: ByteReader;
  readonly #padding: number;
  #missing: number;

  constructor(reader: ByteReader, size: number) {
    this.#reader = reader;
    this.#missing = size;
    this.#padding = padding(size);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (this.#missing > 0) {
      const part = await this.#reader.take(this.#missing);
      if (part === undefined) throw invalidArchive("the tar archive ends in the middle of a file");
      this.#missing -= part.length;
      yield part;
    }
  }

  async skipRest(): Promise<void> {
    await this.#reader.skip(this.#missing + this.#padding);
    this.#missing = 0;
  }
}

function padding(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

const zeroBlock = Buffer.alloc(blockBytes);

function isZero(block: Buffer): boolean {
  return block.equals(zeroBlock);
}

/** Truncates before decoding, because a slice of a string keeps the whole string in memory. */
function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end === -1 ? bytes.length : end);
}
