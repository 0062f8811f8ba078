/**
 * The log of a container, over any number of streams.
 *
 * A broken stream is reopened at the time of its last record; offsets show which bytes of that time were read already. Only a
 * followed log is resumed: another one can be read again.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import type { OutputStream, ReadLogsRequestSchema, ReadLogsResponse } from "@paddock/protocol";
import type { ApiClient } from "./api-client.ts";
import { resumedStream, type StreamOptions } from "./resumed-stream.ts";

/** The container, where to start, and whether to follow. */
export type LogQuery = MessageInitShape<typeof ReadLogsRequestSchema>;

type Seen = { readonly time: Timestamp; readonly end: bigint };

/**
 * Records without gaps and repeats, until the log ends. A record counts as read when the next one is requested. Throws
 * `PaddockError`.
 */
export async function* readLogs(
  client: Pick<ApiClient, "processes">,
  query: LogQuery,
  options: StreamOptions = {},
): AsyncGenerator<ReadLogsResponse> {
  const seen = new Map<OutputStream, Seen>();
  async function* open(call: CallOptions): AsyncGenerator<ReadLogsResponse> {
    for await (const record of client.processes.readLogs(resumedQuery(query, seen), call)) {
      const fresh = unseen(record, seen.get(record.stream));
      yield fresh;
      if (record.time && fresh.data.length > 0)
        seen.set(record.stream, { time: record.time, end: record.offset + BigInt(record.data.length) });
    }
  }
  const canResume = () => query.follow === true && seen.size > 0;
  for await (const record of resumedStream({ open, canResume }, options))
    if (record.data.length > 0) yield record;
}

function resumedQuery(query: LogQuery, seen: ReadonlyMap<OutputStream, Seen>): LogQuery {
  const last = earliest([...seen.values()]);
  if (last === undefined) return query;
  const { tailLines: _, ...rest } = query;
  return { ...rest, since: last.time };
}

/** The part of a record that was not read before. */
function unseen(record: ReadLogsResponse, seen: Seen | undefined): ReadLogsResponse {
  if (!seen || !record.time || timestampMs(record.time) > timestampMs(seen.time)) return record;
  const known = Number(seen.end - record.offset);
  return known <= 0 ? record : { ...record, offset: seen.end, data: record.data.subarray(known) };
}

/** The earliest of the streams' last records. Offsets identify the later ones of the other stream. */
const earliest = (seen: readonly Seen[]): Seen | undefined =>
  seen.reduce<Seen | undefined>(
    (a, b) => (a && timestampMs(a.time) <= timestampMs(b.time) ? a : b),
    undefined,
  );
