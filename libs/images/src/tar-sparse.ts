/**
 * Sparse files in the pax form of GNU tar, version 1.0: the archive has the parts with content, and a map of them before.
 * Source: GNU tar manual, "PAX Format, Version 1.0".
 */
import type { ByteReader } from "./byte-reader.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import { blockBytes } from "./tar-header.ts";

/** Where a file has content, in ascending order. Everything else is zeros. All numbers are bytes. */
export interface SparseMap {
  readonly realSize: number;
  readonly segments: readonly { readonly offset: number; readonly length: number }[];
}

const maxSegments = 100_000;

/** The map as it precedes the content, padded to whole blocks. GNU tar takes the end of the last part as the size of the file. */
export function encodeSparseMap({ realSize, segments }: SparseMap): Buffer {
  const parts = [...segments, { offset: realSize, length: 0 }];
  const numbers = [parts.length, ...parts.flatMap(({ offset, length }) => [offset, length])];
  const text = Buffer.from(`${numbers.join("\n")}\n`, "latin1");
  return Buffer.concat([text, Buffer.alloc((blockBytes - (text.length % blockBytes)) % blockBytes)]);
}

/** Reads the map of a file, whose entry has `size` bytes with the map. Throws `invalid_archive` or `too_large`. */
export async function readSparseMap(
  reader: ByteReader,
  { size, realSize }: { readonly size: number; readonly realSize: number },
): Promise<{ readonly map: SparseMap; readonly bytes: number }> {
  const numbers: number[] = [];
  let rest = "";
  for (let bytes = blockBytes; bytes <= size; bytes += blockBytes) {
    const block = await reader.read(blockBytes);
    if (block === undefined) break;
    const lines = (rest + block.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      numbers.push(decimal(line));
      if (numbers.length === 1 + 2 * count(numbers))
        return { map: checked({ realSize, segments: pairs(numbers) }, size - bytes), bytes };
    }
    if (rest.length > 20) break;
  }
  throw malformed();
}

function count(numbers: readonly number[]): number {
  const [segments = 0] = numbers;
  if (segments > maxSegments)
    throw new ImageError(
      "too_large",
      `a sparse file of ${segments} parts`,
      `the limit is ${maxSegments} parts`,
    );
  return segments;
}

function decimal(line: string): number {
  if (!/^[0-9]{1,16}$/.test(line) || !Number.isSafeInteger(Number(line))) throw malformed();
  return Number(line);
}

const pairs = (numbers: readonly number[]) =>
  Array.from({ length: (numbers.length - 1) / 2 }, (_, index) => ({
    offset: numbers[1 + 2 * index] ?? 0,
    length: numbers[2 + 2 * index] ?? 0,
  }));

function checked(map: SparseMap, contentBytes: number): SparseMap {
  let end = 0;
  let bytes = 0;
  for (const { offset, length } of map.segments) {
    if (offset < end) throw malformed();
    end = offset + length;
    bytes += length;
  }
  if (end > map.realSize || bytes !== contentBytes) throw malformed();
  return map;
}

const malformed = (): ImageError =>
  invalidArchive("the map of a sparse file in the tar archive is malformed");
