import { ImageError, invalidArchive } from "./image-error.ts";
import type { TarEntry } from "./tar-entry.ts";

/** The records of one pax extension header; keys and values are byte strings. */
export type PaxRecords = ReadonlyMap<string, string>;

/** Where the header is, and whether it may describe a sparse file. */
export type PaxRules = { readonly scope: "entry" | "global"; readonly sparse: boolean };

const xattrPrefix = "SCHILY.xattr.";

/**
 * Parses `length key=value\n` records. A global header may have only comments and times. One that renames or resizes all following
 * entries has no valid use in an image and is refused.
 */
export function parsePax(content: Buffer, { scope, sparse }: PaxRules): PaxRecords {
  const records = new Map<string, string>();
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const digits = space === -1 ? "" : content.toString("latin1", at, space);
    if (!/^[1-9][0-9]{0,7}$/.test(digits)) throw malformed();
    const end = at + Number(digits);
    if (end > content.length || end <= space + 1 || content[end - 1] !== 0x0a) throw malformed();
    const record = content.toString("latin1", space + 1, end - 1);
    const equals = record.indexOf("=");
    if (equals < 1) throw malformed();
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  for (const key of records.keys()) refuseUnsupported(key, { scope, sparse });
  refuseOldSparse(records);
  return records;
}

function malformed(): ImageError {
  return invalidArchive("a tar pax header is malformed");
}

const sparsePrefix = "GNU.sparse.";

function refuseOldSparse(records: PaxRecords): void {
  const isSparse = [...records.keys()].some((key) => key.startsWith(sparsePrefix));
  if (isSparse && (records.get("GNU.sparse.major") !== "1" || records.get("GNU.sparse.minor") !== "0"))
    throw new ImageError(
      "unsupported",
      "a sparse file in an old form in the tar archive",
      "create the tar with --sparse-version=1.0",
    );
}

function refuseUnsupported(key: string, { scope, sparse }: PaxRules): void {
  if (key.startsWith(sparsePrefix) && !(sparse && scope === "entry"))
    throw new ImageError(
      "unsupported",
      "a sparse file in the tar archive",
      "create the tar without --sparse",
    );
  const renames = key === "path" || key === "linkpath" || key === "size" || key.startsWith(xattrPrefix);
  if (scope === "global" && renames)
    throw new ImageError(
      "unsupported",
      `a global pax header that sets ${JSON.stringify(key)}`,
      "create the tar with per-entry headers, as tar and docker do",
    );
}

export type Header = Omit<TarEntry, "offset" | "body" | "sparse">;

/** The size of a sparse file with its holes; undefined for another file. */
export function sparseSize(pax: PaxRecords | undefined): number | undefined {
  if (pax?.get("GNU.sparse.major") === undefined) return undefined;
  const size = whole(pax.get("GNU.sparse.realsize"));
  if (size === undefined) throw malformed();
  return size;
}

/** Applies pax records to a header. Only files have content, so only they keep a size. */
export function applyPax(header: Header, pax: PaxRecords | undefined): Header {
  const merged = pax === undefined ? header : overlay(header, pax);
  if (merged.path.includes("\0") || merged.link.includes("\0"))
    throw invalidArchive("a name in the tar archive contains a NUL byte");
  return merged.type === "file" ? merged : { ...merged, size: 0 };
}

function overlay(header: Header, pax: PaxRecords): Header {
  const xattrs = new Map<string, string>();
  for (const [key, value] of pax)
    if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), value);
  return {
    ...header,
    path: nonEmpty(pax.get("GNU.sparse.name")) ?? nonEmpty(pax.get("path")) ?? header.path,
    link: nonEmpty(pax.get("linkpath")) ?? header.link,
    size: whole(pax.get("size")) ?? header.size,
    uid: whole(pax.get("uid")) ?? header.uid,
    gid: whole(pax.get("gid")) ?? header.gid,
    ...(time(pax.get("mtime")) ?? { mtime: header.mtime, mtimeNs: header.mtimeNs }),
    xattrs,
  };
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function whole(value: string | undefined): number | undefined {
  if (value === undefined || value === "") return undefined;
  const result = Number(value);
  if (!/^[0-9]{1,16}$/.test(value) || !Number.isSafeInteger(result)) throw malformed();
  return result;
}

function time(value: string | undefined): { mtime: number; mtimeNs: number } | undefined {
  if (value === undefined || value === "") return undefined;
  const match = /^(-?[0-9]{1,15})(?:\.([0-9]*))?$/.exec(value);
  if (!match) throw malformed();
  const ns = Number((match[2] ?? "").slice(0, 9).padEnd(9, "0"));
  const isBefore = value.startsWith("-") && ns > 0;
  return { mtime: Number(match[1]) - (isBefore ? 1 : 0), mtimeNs: isBefore ? 1_000_000_000 - ns : ns };
}
