import { blockBytes } from "./tar-header.ts";
import { encodeSparseMap, type SparseMap } from "./tar-sparse.ts";

/** One entry to write. Strings are byte strings (one character per byte). */
export interface TarRecord {
  readonly type: "file" | "directory" | "symlink" | "hardlink" | "fifo";
  readonly path: string;
  readonly link?: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  /** The rest of the time, 0 to 999,999,999 nanoseconds. */
  readonly mtimeNs?: number;
  /** Where the content belongs in a sparse file. */
  readonly sparse?: SparseMap;
  /** Size of the content after the header, in bytes; only for files. */
  readonly size?: number;
  readonly xattrs?: ReadonlyMap<string, string>;
}

const typeflags = { file: "0", hardlink: "1", symlink: "2", directory: "5", fifo: "6" } as const;
const maxNameBytes = 100;
const maxOctal = { id: 0o7777777, size: 0o77777777777 };

/** The two zero blocks that end an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

/**
 * The header blocks of an entry, with extension headers only for values that do not fit in ustar. Long names use GNU's `L` and `K`
 * headers, because mksquashfs 4.5.1 strips `/` and `../` from a link target in a pax header. The map of a sparse file follows.
 */
export function tarHeader(record: TarRecord): Buffer {
  const path = entryName(record);
  const link = record.link ?? "";
  const blocks: Buffer[] = [];
  const map = record.sparse === undefined ? undefined : encodeSparseMap(record.sparse);
  const size = (map?.length ?? 0) + (record.size ?? 0);
  const pax = paxRecords(record, size).join("");
  if (pax !== "") blocks.push(extension("x", pax));
  if (path.length > maxNameBytes) blocks.push(extension("L", `${path}\0`));
  if (link.length > maxNameBytes) blocks.push(extension("K", `${link}\0`));
  blocks.push(ustar(record, typeflags[record.type], size));
  if (map !== undefined) blocks.push(map);
  return Buffer.concat(blocks);
}

function extension(typeflag: "x" | "L" | "K", content: string): Buffer {
  const body = Buffer.from(content, "latin1");
  const head = { type: "file", path: "././@LongLink", mode: 0, uid: 0, gid: 0, mtime: 0 } as const;
  return Buffer.concat([ustar(head, typeflag, body.length), body, tarPadding(body.length)]);
}

/** Zeros that pad a body of `size` bytes to a whole block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}

function paxRecords(record: TarRecord, size: number): string[] {
  const records: string[] = [];
  if (size > maxOctal.size) records.push(paxRecord("size", String(size)));
  if (record.mtimeNs || record.mtime < 0) records.push(paxRecord("mtime", timeText(record)));
  if (record.sparse !== undefined) records.push(...sparseRecords(record.path, record.sparse));
  if (record.uid > maxOctal.id) records.push(paxRecord("uid", String(record.uid)));
  if (record.gid > maxOctal.id) records.push(paxRecord("gid", String(record.gid)));
  for (const [name, value] of record.xattrs ?? []) records.push(paxRecord(`SCHILY.xattr.${name}`, value));
  return records;
}

/** Seconds with nine digits after the point. */
function timeText({ mtime, mtimeNs = 0 }: TarRecord): string {
  const isNegative = mtime < 0 && mtimeNs > 0;
  const [seconds, ns] = isNegative ? [-mtime - 1, 1_000_000_000 - mtimeNs] : [mtime, mtimeNs];
  return `${isNegative ? "-" : ""}${seconds}.${String(ns).padStart(9, "0")}`;
}

const sparseRecords = (path: string, { realSize }: SparseMap): string[] => [
  paxRecord("GNU.sparse.major", "1"),
  paxRecord("GNU.sparse.minor", "0"),
  paxRecord("GNU.sparse.name", path),
  paxRecord("GNU.sparse.realsize", String(realSize)),
];

/** `length key=value\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function entryName(record: TarRecord): string {
  return record.type === "directory" && !record.path.endsWith("/") ? `${record.path}/` : record.path;
}

function ustar(record: TarRecord, typeflag: string, size: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(entryName(record).slice(0, maxNameBytes), 0, "latin1");
  octal(block, 100, 8, record.mode & 0o7777);
  octal(block, 108, 8, record.uid > maxOctal.id ? 0 : record.uid);
  octal(block, 116, 8, record.gid > maxOctal.id ? 0 : record.gid);
  octal(block, 124, 12, size > maxOctal.size ? 0 : size);
  octal(block, 136, 12, Math.max(0, record.mtime));
  block.write(typeflag, 156, "latin1");
  block.write((record.link ?? "").slice(0, maxNameBytes), 157, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let i = 0; i < blockBytes; i++) sum += block[i] ?? 0;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function octal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, offset, "latin1");
}
