import { create } from "@bufbuild/protobuf";
import { type ExecRequest, type ExecResponse, ExecResponseSchema, type nodepb } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { firstRequest } from "../streams/first-request.ts";
import type { TakenOffsets } from "../streams/output-acks.ts";
import { proxyProcess } from "../streams/proxy-process.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Runs one more process in a running container and carries its input and output. */
export const exec = (api: ApiContext) =>
  async function* (requests: AsyncIterable<ExecRequest>, ctx: CallContext): AsyncGenerator<ExecResponse> {
    const { first, rest } = await firstRequest(requests);
    const { sandboxId, explicitAck } = first.message.value;
    const { client, options, generation, failure } = await sandboxStream(api, ctx, sandboxId);
    yield* proxyProcess(first, rest, {
      call: client.exec(options),
      toNode: (request: ExecRequest) => ({
        request,
        ...(request.message.case === "start" && { generation }),
      }),
      toClient: ({ response }: nodepb.ExecResponse) => {
        const output = response?.output;
        return output && { output, response: create(ExecResponseSchema, { output }) };
      },
      ack: explicitAck ? undefined : ackRequest,
      failure,
    });
  };

const ackRequest = (taken: TakenOffsets) => ({
  request: { message: { case: "input", value: { input: { case: "ack", value: taken } } } } as const,
});
