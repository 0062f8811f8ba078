import { create } from "@bufbuild/protobuf";
import {
  type AttachRequest,
  type AttachResponse,
  AttachResponseSchema,
  type nodepb,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { firstRequest } from "../streams/first-request.ts";
import type { TakenOffsets } from "../streams/output-acks.ts";
import { proxyProcess } from "../streams/proxy-process.ts";
import { sandboxStream } from "../streams/sandbox-stream.ts";

/** Joins a process from given offsets and carries its input and output. */
export const attach = (api: ApiContext) =>
  async function* (requests: AsyncIterable<AttachRequest>, ctx: CallContext): AsyncGenerator<AttachResponse> {
    const { first, rest } = await firstRequest(requests);
    const { sandboxId, explicitAck } = first.message.value;
    const { client, options, generation, failure } = await sandboxStream(api, ctx, sandboxId);
    yield* proxyProcess(first, rest, {
      call: client.attach(options),
      toNode: (request: AttachRequest) => ({
        request,
        ...(request.message.case === "start" && { generation }),
      }),
      toClient: ({ response }: nodepb.AttachResponse) => {
        const output = response?.output;
        return output && { output, response: create(AttachResponseSchema, { output }) };
      },
      ack: explicitAck ? undefined : ackRequest,
      failure,
    });
  };

const ackRequest = (taken: TakenOffsets) => ({
  request: { message: { case: "input", value: { input: { case: "ack", value: taken } } } } as const,
});
