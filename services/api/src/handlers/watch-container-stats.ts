import type { WatchContainerStatsRequest, WatchContainerStatsResponse } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";
import { unwrapped } from "../streams/unwrapped.ts";

/** Reads the figures of a container at an interval. */
export const watchContainerStats = (api: ApiContext) =>
  async function* (
    request: WatchContainerStatsRequest,
    ctx: CallContext,
  ): AsyncGenerator<WatchContainerStatsResponse> {
    const { client, options, generation, failure } = await sandboxStream(api, ctx, request.sandboxId);
    yield* unwrapped(client.watchContainerStats({ request, generation }, options), failure);
  };
