import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type EventPosition, readEvents, requireHeld } from "@paddock/bus";
import { type WatchRequest, type WatchResponse, WatchResponseSchema } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { positionOf, tokenOf } from "../events/resume-token.ts";

/**
 * Streams events from a position on, and a bookmark when all past events are sent, so that a client that has received no event
 * can also resume. A client that reads slowly delays only its own reader, which then requests no more from the bus.
 */
export const watch = (api: ApiContext) =>
  async function* (request: WatchRequest, ctx: CallContext): AsyncGenerator<WatchResponse> {
    const begin = await beginOf(api, request);
    const options = { sandboxId: request.sandboxId || undefined, signal: ctx.signal };
    for await (const { event, position } of readEvents(api.events, begin, options))
      yield create(WatchResponseSchema, { resumeToken: tokenOf(position), ...(event && { event }) });
    ctx.signal.throwIfAborted();
  };

async function beginOf(api: ApiContext, { resumeToken, since }: WatchRequest): Promise<EventPosition> {
  if (resumeToken === "" && since !== undefined) return await api.events.placeAt(timestampMs(since));
  const asked = resumeToken === "" ? undefined : positionOf(resumeToken);
  const extent = await api.events.extent();
  if (asked === undefined) return { streamCreated: extent.streamCreated, sequence: extent.lastSequence };
  requireHeld(asked, extent);
  return asked;
}
