/** Where a local file has content. Node.js cannot ask the file system, so blocks of zeros count as holes. */
import { read, type Stats } from "node:fs";
import { promisify } from "node:util";
import type { SparseMap } from "@paddock/images";

export const readAt = promisify(read);

const BLOCK_BYTES = 64 * 1024;
const READ_BYTES = 16 * BLOCK_BYTES;
const MAX_PARTS = 8000;
const zeros = Buffer.alloc(BLOCK_BYTES);

/** Whether the file system says that the file takes less space than its size. */
export const hasHoles = ({ size, blocks }: Stats): boolean => blocks * 512 + BLOCK_BYTES <= size;

/** Reads the file once. What cannot be read any more counts as content. */
export async function sparseParts(fd: number, size: number): Promise<SparseMap> {
  const segments: { offset: number; length: number }[] = [];
  const buffer = Buffer.alloc(READ_BYTES);
  const add = (offset: number, length: number) => {
    const last = segments.at(-1);
    if (last && (last.offset + last.length === offset || segments.length === MAX_PARTS))
      last.length = offset + length - last.offset;
    else segments.push({ offset, length });
  };
  for (let at = 0; at < size; ) {
    const { bytesRead } = await readAt(fd, buffer, 0, Math.min(READ_BYTES, size - at), at);
    if (bytesRead === 0) {
      add(at, size - at);
      break;
    }
    for (let inside = 0; inside < bytesRead; inside += BLOCK_BYTES) {
      const block = buffer.subarray(inside, Math.min(inside + BLOCK_BYTES, bytesRead));
      if (!block.equals(zeros.subarray(0, block.length))) add(at + inside, block.length);
    }
    at += bytesRead;
  }
  return { realSize: size, segments };
}
