import { type CopyToRequest, type CopyToResponse, FileService } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { proxyDuplex } from "../streams/proxy-duplex.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Writes a file of a container, or extracts an archive. */
export const copyTo = (api: ApiContext) =>
  async function* (requests: AsyncIterable<CopyToRequest>, ctx: CallContext): AsyncGenerator<CopyToResponse> {
    const { first, rest } = await firstRequest(requests);
    const { connection, options, failure } = await sandboxStream(api, ctx, first.message.value.sandboxId);
    const call = connection.caller(FileService.method.copyTo)(options);
    yield* proxyDuplex<CopyToRequest, CopyToResponse>(first, rest, { call, passesEnd: true, failure });
  };
