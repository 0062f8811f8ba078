/** Events over any number of streams: a broken one is resumed from the token of the last response. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import type { WatchResponse } from "@paddock/protocol";
import type { ApiClient } from "./api-client.ts";
import { resumedStream, type StreamOptions } from "./resumed-stream.ts";

export type EventQuery = {
  /** Token of the last response seen; empty to start at `since`. */
  readonly resumeToken: string;
  /** Only events of this sandbox; empty means all. */
  readonly sandboxId: string;
  /** Where to start without a token. Not set means now. */
  readonly since?: Timestamp | undefined;
};

/**
 * Responses without gaps and repeats, until `options.signal` is aborted. A response counts as seen when the next one is
 * requested. Throws `PaddockError`: OUT_OF_RANGE if events after the token are no longer kept.
 */
export function watchEvents(
  client: Pick<ApiClient, "events">,
  query: EventQuery,
  options: StreamOptions = {},
): AsyncGenerator<WatchResponse> {
  const { since, ...rest } = query;
  let { resumeToken } = query;
  async function* open(call: CallOptions): AsyncGenerator<WatchResponse> {
    const request = { ...rest, resumeToken, ...(since && { since }) };
    for await (const response of client.events.watch(request, call)) {
      yield response;
      resumeToken = response.resumeToken;
    }
    throw new PaddockError("UNAVAILABLE", "the stream of events ended unexpectedly");
  }
  return resumedStream({ open, canResume: () => resumeToken !== "" }, options);
}
