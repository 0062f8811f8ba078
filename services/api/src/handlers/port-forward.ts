import { type PortForwardRequest, type PortForwardResponse, SandboxService } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { proxyDuplex } from "../streams/proxy-duplex.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Connects to a port of a sandbox, and carries the connection. */
export const portForward = (api: ApiContext) =>
  async function* (
    requests: AsyncIterable<PortForwardRequest>,
    ctx: CallContext,
  ): AsyncGenerator<PortForwardResponse> {
    const { first, rest } = await firstRequest(requests);
    const { connection, options, failure } = await sandboxStream(api, ctx, first.message.value.sandboxId);
    const call = connection.caller(SandboxService.method.portForward)(options);
    yield* proxyDuplex<PortForwardRequest, PortForwardResponse>(first, rest, {
      call,
      passesEnd: true,
      failure,
    });
  };
