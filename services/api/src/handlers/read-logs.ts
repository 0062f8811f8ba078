import type { ReadLogsRequest, ReadLogsResponse } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";
import { unwrapped } from "../streams/unwrapped.ts";

/** Reads what a container's init wrote, from its node's log files. */
export const readLogs = (api: ApiContext) =>
  async function* (request: ReadLogsRequest, ctx: CallContext): AsyncGenerator<ReadLogsResponse> {
    const { client, options, generation, failure } = await sandboxStream(api, ctx, request.sandboxId);
    yield* unwrapped(client.readLogs({ request, generation }, options), failure);
  };
