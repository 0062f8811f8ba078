import { PaddockError } from "@paddock/domain";
import type { WaitProcessRequest, WaitProcessResponse } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Answers when a process has ended. It waits on a stream to the node, not on the bus, for it may wait for days. */
export const waitProcess =
  (api: ApiContext) =>
  async (request: WaitProcessRequest, ctx: CallContext): Promise<WaitProcessResponse> => {
    const { client, options, generation, failure } = await sandboxStream(api, ctx, request.sandboxId);
    const { response } = await client
      .waitProcess({ request, generation }, options)
      .catch((error: unknown) => {
        throw failure(error);
      });
    if (response === undefined) throw new PaddockError("INTERNAL", "the node answered a wait with nothing");
    return response;
  };
