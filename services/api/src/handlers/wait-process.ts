import { ProcessService, type WaitProcessRequest, type WaitProcessResponse } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Answers when a process has ended. Uses the connection to the node instead of the bus, because it may wait for days. */
export const waitProcess =
  (api: ApiContext) =>
  async (request: WaitProcessRequest, ctx: CallContext): Promise<WaitProcessResponse> => {
    const { connection, options, failure } = await sandboxStream(api, ctx, request.sandboxId);
    const wait = connection.caller(ProcessService.method.waitProcess);
    return await wait(request, options).catch((error: unknown) => {
      throw failure(error);
    });
  };
