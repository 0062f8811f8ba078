import { ImageError, invalidArchive } from "./image-error.ts";

/** The type of an entry, with extension headers applied. */
export type TarEntryType = "file" | "directory" | "symlink" | "hardlink" | "fifo" | "device";

/** One 512-byte header, before extension headers are applied. Strings have one character per byte. */
export interface RawHeader {
  readonly typeflag: string;
  readonly path: string;
  readonly link: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
}

export const blockBytes = 512;

/** Decodes a header block (POSIX ustar, old V7 and GNU forms). Throws `invalid_archive`. */
export function decodeHeader(block: Buffer): RawHeader {
  verifyChecksum(block);
  const magic = block.toString("latin1", 257, 263);
  const prefix = magic === "ustar\0" ? text(block, 345, 155) : "";
  const name = text(block, 0, 100);
  return {
    typeflag: String.fromCharCode(block[156] ?? 0),
    path: prefix === "" ? name : `${prefix}/${name}`,
    link: text(block, 157, 100),
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12, true),
  };
}

/** The entry type of a header's type flag. Throws `unsupported` for an unknown type. */
export function entryType(typeflag: string, path: string): TarEntryType {
  switch (typeflag) {
    case "\0":
      return path.endsWith("/") ? "directory" : "file";
    case "0":
    case "7":
      return "file";
    case "1":
      return "hardlink";
    case "2":
      return "symlink";
    case "3":
    case "4":
      return "device";
    case "5":
      return "directory";
    case "6":
      return "fifo";
    default:
      throw new ImageError(
        "unsupported",
        `the tar archive has an entry of type ${JSON.stringify(typeflag)}`,
        "only files, directories, links, fifos and devices are supported, not sparse or multi-volume tars",
      );
  }
}

function text(block: Buffer, offset: number, length: number): string {
  const raw = block.toString("latin1", offset, offset + length);
  const end = raw.indexOf("\0");
  return end === -1 ? raw : raw.slice(0, end);
}

function number(block: Buffer, offset: number, length: number, signed = false): number {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) return base256(block.subarray(offset, offset + length), signed);
  const digits = text(block, offset, length).trim();
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw invalidArchive("a tar header has a number that is not octal");
  return Number.parseInt(digits, 8);
}

/** GNU's binary form for numbers that do not fit in octal digits. */
function base256(field: Buffer, signed: boolean): number {
  const negative = field[0] === 0xff;
  if (negative && !signed) throw invalidArchive("a tar header has a negative size or id");
  let value = BigInt(negative ? 0 : (field[0] ?? 0) & 0x7f);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  if (negative) value -= 1n << BigInt(8 * (field.length - 1));
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw invalidArchive("a tar header has a number out of range");
  return result;
}

function verifyChecksum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < blockBytes; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  if (number(block, 148, 8) !== sum) throw invalidArchive("a tar header has a wrong checksum");
}
