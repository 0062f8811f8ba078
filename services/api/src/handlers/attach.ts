import { type AttachRequest, type AttachResponse, ProcessService } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { proxyProcess } from "../streams/proxy-process.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Attaches to a process at given offsets, and carries its input and output. */
export const attach = (api: ApiContext) =>
  async function* (requests: AsyncIterable<AttachRequest>, ctx: CallContext): AsyncGenerator<AttachResponse> {
    const { first, rest } = await firstRequest(requests);
    const { sandboxId, explicitAck } = first.message.value;
    const { connection, options, failure } = await sandboxStream(api, ctx, sandboxId);
    const call = connection.caller(ProcessService.method.attach)(options);
    yield* proxyProcess<AttachRequest, AttachResponse>(first, rest, { call, explicitAck, failure });
  };
