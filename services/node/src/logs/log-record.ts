/**
 * A record of a container's log file: a header of 32 bytes, then the bytes as the process wrote them.
 *
 * ```text
 *  0  magic 0x504c ("PL")     2  kind            3  zero
 *  4  payload bytes           8  bytes of the previous record, header included; 0 for the first of a file
 * 12  CRC-32 of header (with this field zero) and payload
 * 16  time, microseconds since the epoch        24  offset of the first byte
 * ```
 *
 * Numbers are little-endian. The length makes it binary-safe, the checksum detects an incomplete record, and the length of the
 * record before lets a reader walk backwards, so that the last lines of a large log are found without reading all of it.
 *
 * Kinds 1 and 2 are bytes of stdout and stderr. Kind 3, a *run*, begins each file: offsets count from the start of a process, so a
 * container that is started again begins at 0; the payload has the run's name and the length of both streams.
 */
import { crc32 } from "node:zlib";

export const HEADER_BYTES = 32;
/** Longest payload, in bytes: one piece of output, or a run. */
export const MAX_PAYLOAD_BYTES = 65536;
const MAGIC = 0x4c50;
const CRC_AT = 12;
const MAX_RUN_ID_CHARACTERS = 200;

export type LogStream = "stdout" | "stderr";
const KINDS = { stdout: 1, stderr: 2, run: 3 } as const;

/** Bytes of both streams since the start of a run. */
export type Offsets = { readonly stdout: number; readonly stderr: number };

export const NO_OFFSETS: Offsets = { stdout: 0, stderr: 0 };

export type RecordHeader = {
  readonly kind: LogStream | "run";
  readonly payloadBytes: number;
  /** Bytes of the previous record, header included. */
  readonly previousBytes: number;
  readonly timeUs: number;
  /** Offset of the first byte; 0 for a run. */
  readonly offset: number;
};

/** One run of a container: its unique name, and the offsets where the file continues. */
export type Run = { readonly runId: string; readonly offsets: Offsets };

export type RecordInit = {
  readonly kind: LogStream | "run";
  readonly payload: Uint8Array;
  readonly previousBytes: number;
  readonly timeUs: number;
  readonly offset: number;
};

/** The header of a record. The payload follows unchanged, so that it is not copied. */
export function encodeHeader(record: RecordInit): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16LE(MAGIC, 0);
  header.writeUInt8(KINDS[record.kind], 2);
  header.writeUInt32LE(record.payload.length, 4);
  header.writeUInt32LE(record.previousBytes, 8);
  header.writeBigUInt64LE(BigInt(record.timeUs), 16);
  header.writeBigUInt64LE(BigInt(record.offset), 24);
  header.writeUInt32LE(crc32(record.payload, crc32(header)), CRC_AT);
  return header;
}

/** The header at the start of `bytes` (at least `HEADER_BYTES`), or undefined when it is invalid. */
export function decodeHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.readUInt16LE(0) !== MAGIC) return undefined;
  const kind = kindOf(bytes.readUInt8(2));
  const payloadBytes = bytes.readUInt32LE(4);
  if (kind === undefined || payloadBytes > MAX_PAYLOAD_BYTES) return undefined;
  return {
    kind,
    payloadBytes,
    previousBytes: bytes.readUInt32LE(8),
    timeUs: Number(bytes.readBigUInt64LE(16)),
    offset: Number(bytes.readBigUInt64LE(24)),
  };
}

/** Whether a record (header and payload) is complete and unchanged. */
export function isIntact(record: Buffer): boolean {
  const header = Buffer.from(record.subarray(0, HEADER_BYTES));
  header.writeUInt32LE(0, CRC_AT);
  return crc32(record.subarray(HEADER_BYTES), crc32(header)) === record.readUInt32LE(CRC_AT);
}

/** The payload of a run's record. */
export function encodeRun({ runId, offsets }: Run): Buffer {
  const { stdout, stderr } = offsets;
  return Buffer.from(JSON.stringify({ runId: runId.slice(0, MAX_RUN_ID_CHARACTERS), stdout, stderr }));
}

/** Undefined when `payload` is not a run's payload. */
export function decodeRun(payload: Buffer): Run | undefined {
  const value: unknown = parseJson(payload.toString("utf8"));
  if (typeof value !== "object" || value === null) return undefined;
  if (!("runId" in value && "stdout" in value && "stderr" in value)) return undefined;
  const { runId, stdout, stderr } = value;
  if (typeof runId !== "string" || typeof stdout !== "number" || typeof stderr !== "number") return undefined;
  return { runId, offsets: { stdout, stderr } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function kindOf(number: number): RecordHeader["kind"] | undefined {
  if (number === KINDS.stdout) return "stdout";
  if (number === KINDS.stderr) return "stderr";
  return number === KINDS.run ? "run" : undefined;
}
