/**
 * Selects the part of a log that a client requests: the last lines, from a time on, some streams, and new output.
 *
 * Lines of the two streams may be interleaved, so the last lines are found for each stream: a line counts where it begins, the
 * last lines of both together are as many as requested, and each stream starts at the first of its lines among them.
 */
import type { ContainerLog, LogPosition } from "./container-log.ts";
import type { LogStream } from "./log-record.ts";
import { isBefore, type LogRecord, recordsBackward, recordsForward } from "./log-records.ts";

const NEWLINE = 10;

export type LogSelection = {
  readonly streams: readonly LogStream[];
  /** Only this many last lines. */
  readonly tailLines?: number | undefined;
  /** Only output written at or after this time, microseconds since the epoch. */
  readonly sinceUs?: number | undefined;
  readonly follow: boolean;
  readonly signal: AbortSignal;
};

export type LogPiece = {
  readonly stream: LogStream;
  readonly timeUs: number;
  readonly offset: number;
  readonly data: Buffer;
};

/** Where a stream's first wanted line begins: a byte of a record's payload. */
type LineStart = { readonly place: LogPosition; readonly skip: number };

type Starts = {
  readonly from: LogPosition;
  readonly of: ReadonlyMap<LogStream, LineStart>;
};

/** The selected output, oldest first. Rejects with the signal's reason. */
export async function* readLog(log: ContainerLog, selection: LogSelection): AsyncGenerator<LogPiece> {
  const { streams, tailLines, sinceUs = 0, follow, signal } = selection;
  const end = log.position;
  const starts =
    tailLines === undefined ? undefined : await findTail(log, { ...selection, tailLines, sinceUs });
  for await (const record of recordsForward(log, { from: starts?.from, until: end, follow, signal })) {
    const { kind, timeUs, payload, offset } = record;
    if (kind === "run" || !streams.includes(kind) || timeUs < sinceUs) continue;
    const skip =
      starts === undefined || !isBefore(record.place, end) ? 0 : skippedBytes(record, starts.of.get(kind));
    if (skip < payload.length)
      yield { stream: kind, timeUs, offset: offset + skip, data: payload.subarray(skip) };
  }
}

function skippedBytes({ place, payload }: LogRecord, start: LineStart | undefined): number {
  if (start === undefined || isBefore(place, start.place)) return payload.length;
  return isBefore(start.place, place) ? 0 : start.skip;
}

async function findTail(
  log: ContainerLog,
  wanted: { streams: readonly LogStream[]; tailLines: number; sinceUs: number; signal: AbortSignal },
): Promise<Starts> {
  const of = new Map<LogStream, LineStart>();
  // For each stream, the position after its newest byte for which no line start is found yet.
  const open = new Map<LogStream, LineStart>();
  let from: LogPosition = log.position;
  let lines = 0;
  const found = (stream: LogStream): boolean => {
    const start = open.get(stream);
    open.delete(stream);
    if (start === undefined || lines >= wanted.tailLines) return lines >= wanted.tailLines;
    of.set(stream, start);
    if (isBefore(start.place, from)) from = start.place;
    lines += 1;
    return lines >= wanted.tailLines;
  };
  if (wanted.tailLines === 0) return { from, of };
  for await (const record of recordsBackward(log, wanted.signal)) {
    const { kind, payload, place } = record;
    if (record.timeUs < wanted.sinceUs) break;
    if (kind === "run" || !wanted.streams.includes(kind)) continue;
    for (let at = payload.length; at > 0; ) {
      const newline = payload.lastIndexOf(NEWLINE, at - 1);
      if (newline + 1 < at) open.set(kind, { place, skip: newline + 1 });
      if (newline < 0) break;
      if (found(kind)) return { from, of };
      open.set(kind, { place, skip: newline });
      at = newline;
    }
  }
  // The remaining lines begin before all kept records, or after `since`; the later one is the later line.
  const left = [...open].sort(([, a], [, b]) => (isBefore(a.place, b.place) ? 1 : -1));
  for (const [stream] of left) if (found(stream)) break;
  return { from, of };
}
