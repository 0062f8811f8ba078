import { type ExecRequest, type ExecResponse, ProcessService } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { proxyProcess } from "../streams/proxy-process.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Starts a process in a running container, and carries its input and output. */
export const exec = (api: ApiContext) =>
  async function* (requests: AsyncIterable<ExecRequest>, ctx: CallContext): AsyncGenerator<ExecResponse> {
    const { first, rest } = await firstRequest(requests);
    const { sandboxId, explicitAck } = first.message.value;
    const { connection, options, failure } = await sandboxStream(api, ctx, sandboxId);
    const call = connection.caller(ProcessService.method.exec)(options);
    yield* proxyProcess<ExecRequest, ExecResponse>(first, rest, { call, explicitAck, failure });
  };
