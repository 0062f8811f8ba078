/** Reads the records of a log, forwards from a position or backwards from the end, while it is written and rotated. */
import { type FileHandle, open } from "node:fs/promises";
import type { ContainerLog, LogPosition } from "./container-log.ts";
import { logFilePath } from "./log-files.ts";
import { decodeHeader, HEADER_BYTES, isIntact, MAX_PAYLOAD_BYTES, type RecordHeader } from "./log-record.ts";

const BLOCK_BYTES = 256 * 1024;

export const isBefore = (a: LogPosition, b: LogPosition): boolean =>
  a.sequence < b.sequence || (a.sequence === b.sequence && a.bytes < b.bytes);

export type LogRecord = RecordHeader & { readonly place: LogPosition; readonly payload: Buffer };

export type ForwardOptions = {
  /** Where to start; not set means the oldest record. */
  readonly from?: LogPosition | undefined;
  /** Whether to continue with new records, until the log is finished. */
  readonly follow?: boolean;
  /** Where to end without `follow`; not set means the current end of the log. */
  readonly until?: LogPosition | undefined;
  readonly signal: AbortSignal;
};

/**
 * Records from a position on: those that exist at the call, or with `follow` all until the log is finished. So a reader ends
 * even if the log grows faster than it is read. A file that is rotated away before it is read is left out, which the records'
 * offsets show. So is the rest of a file after a damaged record. Payloads are views of a block that is not reused.
 */
export async function* recordsForward(log: ContainerLog, options: ForwardOptions): AsyncGenerator<LogRecord> {
  const { follow = false, signal } = options;
  const until = follow ? undefined : (options.until ?? log.position);
  let place = options.from ?? { sequence: log.files[0] ?? 0, bytes: 0 };
  for (;;) {
    signal.throwIfAborted();
    const finished = log.finished;
    const end = until ?? log.position;
    if (place.sequence === end.sequence ? place.bytes < end.bytes : place.sequence < end.sequence) {
      for await (const record of recordsOfFile(log, place)) {
        signal.throwIfAborted();
        if (until !== undefined && !isBefore(record.place, until)) return;
        yield record;
        place = { ...place, bytes: record.place.bytes + HEADER_BYTES + record.payloadBytes };
      }
      if (place.sequence < end.sequence) {
        const { sequence } = place;
        place = { sequence: log.files.find((each) => each > sequence) ?? end.sequence, bytes: 0 };
      } else if (place.bytes < end.bytes) place = end;
    } else {
      if (!follow || finished) return;
      if (log.finished || log.position !== end) continue;
      await log.changes.next(signal);
    }
  }
}

/** Records of one file from a position to its committed end; none if the file is removed. */
async function* recordsOfFile(log: ContainerLog, from: LogPosition): AsyncGenerator<LogRecord> {
  const { sequence } = from;
  await using file = await openForReading(log.directory, sequence);
  if (file === undefined) return;
  const limit = await committedBytes(log, file, sequence);
  let block: Buffer = Buffer.alloc(0);
  for (let position = from.bytes; position < limit; ) {
    if (!holdsRecord(block)) {
      block = await readAt(file, position, Math.min(BLOCK_BYTES, limit - position));
      if (!holdsRecord(block)) return;
    }
    const header = decodeHeader(block);
    if (header === undefined) return;
    const length = HEADER_BYTES + header.payloadBytes;
    const record = block.subarray(0, length);
    if (!isIntact(record)) return;
    yield { ...header, place: { sequence, bytes: position }, payload: record.subarray(HEADER_BYTES) };
    block = block.subarray(length);
    position += length;
  }
}

/** Records from the committed end backwards, over all files that still exist. */
export async function* recordsBackward(log: ContainerLog, signal: AbortSignal): AsyncGenerator<LogRecord> {
  const end = log.position;
  let lastBytes = log.lastRecordBytes;
  const sequences = log.files.filter((each) => each <= end.sequence).reverse();
  for (const sequence of sequences) {
    await using file = await openForReading(log.directory, sequence);
    if (file === undefined) return;
    const bytes = sequence === end.sequence ? end.bytes : (await file.stat()).size;
    const window = new BackwardWindow(file);
    for (let upto = bytes; upto > 0; ) {
      signal.throwIfAborted();
      if (lastBytes < HEADER_BYTES || lastBytes > upto || lastBytes > HEADER_BYTES + MAX_PAYLOAD_BYTES)
        return;
      const record = await window.read(upto - lastBytes, lastBytes);
      const header = record.length < HEADER_BYTES ? undefined : decodeHeader(record);
      if (header === undefined || !isIntact(record)) return;
      upto -= lastBytes;
      lastBytes = header.previousBytes;
      yield { ...header, place: { sequence, bytes: upto }, payload: record.subarray(HEADER_BYTES) };
    }
  }
}

/** Reads descending ranges, one block at a time. */
class BackwardWindow {
  readonly #file: FileHandle;
  #block: Buffer = Buffer.alloc(0);
  #from = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const end = position + length;
    if (position < this.#from || end > this.#from + this.#block.length) {
      this.#from = Math.max(0, end - BLOCK_BYTES);
      this.#block = await readAt(this.#file, this.#from, end - this.#from);
    }
    return this.#block.subarray(position - this.#from, end - this.#from);
  }
}

const holdsRecord = (block: Buffer): boolean => {
  if (block.length < HEADER_BYTES) return false;
  return block.length >= HEADER_BYTES + (decodeHeader(block)?.payloadBytes ?? 0);
};

async function committedBytes(log: ContainerLog, file: FileHandle, sequence: number): Promise<number> {
  const { position } = log;
  return sequence === position.sequence ? position.bytes : (await file.stat()).size;
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const block = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await file.read(block, 0, length, position);
  return block.subarray(0, bytesRead);
}

async function openForReading(directory: string, sequence: number): Promise<FileHandle | undefined> {
  try {
    return await open(logFilePath(directory, sequence), "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
