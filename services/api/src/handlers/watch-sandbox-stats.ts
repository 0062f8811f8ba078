import type { WatchSandboxStatsRequest, WatchSandboxStatsResponse } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";
import { unwrapped } from "../streams/unwrapped.ts";

/** Reads the figures of a sandbox at an interval. */
export const watchSandboxStats = (api: ApiContext) =>
  async function* (
    request: WatchSandboxStatsRequest,
    ctx: CallContext,
  ): AsyncGenerator<WatchSandboxStatsResponse> {
    const { client, options, generation, failure } = await sandboxStream(api, ctx, request.sandboxId);
    yield* unwrapped(client.watchSandboxStats({ request, generation }, options), failure);
  };
