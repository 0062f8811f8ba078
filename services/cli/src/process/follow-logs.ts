/**
 * The log of a container over as many streams as it takes.
 *
 * A stream that broke is asked for again from the time of its last record; what of that was printed already is told by its
 * offset. Only a followed log is worth it: another one can be read once more.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { PaddockError } from "@paddock/domain";
import type { OutputStream, ReadLogsRequestSchema, ReadLogsResponse } from "@paddock/protocol";
import { isTransient } from "../client/call-failure.ts";
import { backoffMs, sleep } from "../client/retry.ts";
import type { CommandRun } from "../command-run.ts";

const ATTEMPTS = 10;

type Request = MessageInitShape<typeof ReadLogsRequestSchema>;
export type LogQuery = Pick<Request, "follow" | "streams" | "tailLines" | "since">;

type Seen = { readonly time: Timestamp; readonly end: bigint };

export async function* followLogs(run: CommandRun, request: Request): AsyncGenerator<ReadLogsResponse> {
  const what = `read the log of "${request.sandboxId}/${request.containerId}"`;
  const seen = new Map<OutputStream, Seen>();
  let resumed = request;
  for (let attempt = 0; ; ) {
    try {
      for await (const record of run.api.processes.readLogs(
        resumed,
        run.callOptions({ isOpenEnded: true }),
      )) {
        attempt = 0;
        const fresh = unseen(record, seen.get(record.stream));
        if (fresh.data.length === 0) continue;
        yield fresh;
        if (record.time)
          seen.set(record.stream, { time: record.time, end: record.offset + BigInt(record.data.length) });
      }
      return;
    } catch (error) {
      const last = earliest([...seen.values()]);
      const isWorthIt =
        request.follow === true && error instanceof PaddockError && isTransient(error) && last;
      if (!isWorthIt || run.signal.aborted || attempt >= ATTEMPTS) throw run.explain(error, { what });
      if (attempt === 0) run.warn("connection lost, trying to take it up again");
      await sleep(backoffMs(attempt), run.signal);
      attempt += 1;
      const { tailLines: _, ...rest } = request;
      resumed = { ...rest, since: last.time };
    }
  }
}

function unseen(record: ReadLogsResponse, seen: Seen | undefined): ReadLogsResponse {
  if (!seen || !record.time || timestampMs(record.time) > timestampMs(seen.time)) return record;
  const known = Number(seen.end - record.offset);
  return known <= 0 ? record : { ...record, offset: seen.end, data: record.data.subarray(known) };
}

/** The earliest of the streams' last records: later ones of the other stream are told by their offsets. */
const earliest = (seen: readonly Seen[]): Seen | undefined =>
  seen.reduce<Seen | undefined>(
    (a, b) => (a && timestampMs(a.time) <= timestampMs(b.time) ? a : b),
    undefined,
  );
