/** The files of one container's log: `0000000001.log`, `0000000002.log`, … in their own directory. */
import { type FileHandle, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeHeader, decodeRun, HEADER_BYTES, isIntact, NO_OFFSETS, type Offsets } from "./log-record.ts";

const NAME = /^([0-9]{10})\.log$/;
const SCAN_BYTES = 1024 * 1024;

/** The path of file number `sequence`. */
export const logFilePath = (directory: string, sequence: number): string =>
  join(directory, `${String(sequence).padStart(10, "0")}.log`);

/** Numbers of the files that exist, ascending. */
export async function listLogFiles(directory: string): Promise<number[]> {
  const names = await readdir(directory);
  const numbers = names.flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
  return numbers.sort((a, b) => a - b);
}

export const removeLogFile = (directory: string, sequence: number): Promise<void> =>
  rm(logFilePath(directory, sequence), { force: true });

/** The end of a log file, after the removal of an incomplete record. */
export type FileEnd = {
  readonly file: FileHandle;
  readonly bytes: number;
  /** Bytes of its last record, header included. */
  readonly lastRecordBytes: number;
  readonly lastTimeUs: number;
  readonly runId: string;
  readonly offsets: Offsets;
};

/**
 * Opens a file for appending. Bytes after its last intact record (a write that a crash interrupted) are cut off. Undefined,
 * with the file closed, if even its first record is damaged.
 */
export async function openLogEnd(path: string): Promise<FileEnd | undefined> {
  const file = await open(path, "r+");
  try {
    const end = await scan(file);
    if (end === undefined) {
      await file.close();
      return undefined;
    }
    await file.truncate(end.bytes);
    return { ...end, file };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function scan(file: FileHandle): Promise<Omit<FileEnd, "file"> | undefined> {
  let end: Omit<FileEnd, "file"> | undefined;
  for await (const record of recordsOf(file)) {
    const header = decodeHeader(record);
    if (header === undefined || !isIntact(record)) break;
    const { kind, timeUs, offset, payloadBytes } = header;
    let { runId, offsets } = end ?? { runId: "", offsets: NO_OFFSETS };
    if (kind === "run") {
      const run = decodeRun(record.subarray(HEADER_BYTES));
      if (run === undefined) break;
      ({ runId, offsets } = run);
    } else {
      if (end === undefined) break;
      offsets = { ...offsets, [kind]: offset + payloadBytes };
    }
    const bytes = (end?.bytes ?? 0) + record.length;
    end = { bytes, lastRecordBytes: record.length, lastTimeUs: timeUs, runId, offsets };
  }
  return end;
}

/** The complete records of a file, up to the first invalid header. */
async function* recordsOf(file: FileHandle): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for (let position = 0; ; ) {
    const block = Buffer.allocUnsafe(SCAN_BYTES);
    const { bytesRead } = await file.read(block, 0, SCAN_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    rest =
      rest.length === 0 ? block.subarray(0, bytesRead) : Buffer.concat([rest, block.subarray(0, bytesRead)]);
    while (rest.length >= HEADER_BYTES) {
      const header = decodeHeader(rest);
      if (header === undefined) return;
      const length = HEADER_BYTES + header.payloadBytes;
      if (rest.length < length) break;
      yield rest.subarray(0, length);
      rest = rest.subarray(length);
    }
  }
}
