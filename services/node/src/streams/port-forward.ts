import { create } from "@bufbuild/protobuf";
import { hasReason, PaddockError } from "@paddock/domain";
import {
  type PortForwardRequest,
  type PortForwardResponse,
  PortForwardResponseSchema,
  type PortForwardStart,
} from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import { forwardPort, type PortInput } from "../agent/port-call.ts";
import type { PortEvent } from "../agent/port-flow.ts";
import { permits } from "../sandboxes/permits.ts";
import { guestStream } from "./guest-stream.ts";
import { type StreamContext, streamSandbox } from "./stream-context.ts";

/**
 * Connects to a port of a sandbox and carries the connection. See `paddock.v1.SandboxService.PortForward`. A connection does not
 * outlive the link to the guest: unlike the output of a process, its bytes cannot be asked for again.
 */
export async function* portForward(
  context: StreamContext,
  requests: AsyncIterable<PortForwardRequest>,
  call: CallContext,
): AsyncGenerator<PortForwardResponse> {
  const { first, rest } = await firstRequest(requests);
  const start = first.message.value;
  const sandbox = streamSandbox(context, start, call);
  permits(sandbox, "port_forward");
  const events = guestStream(sandbox, call, (agent, signal) =>
    forwardPort(agent, start.port, { inputs: inputsOf(rest), signal }),
  );
  try {
    for await (const event of events) yield responseOf(event);
  } catch (error) {
    throw hasReason(error, "PORT_REFUSED") ? refused(start, error) : error;
  }
}

/** The requests after `start`. */
async function* inputsOf(
  requests: AsyncIterable<{
    readonly message: { readonly case: "data"; readonly value: Uint8Array } | { readonly case: "eof" };
  }>,
): AsyncGenerator<PortInput> {
  for await (const { message } of requests)
    yield message.case === "data" ? { kind: "data", data: message.value } : { kind: "eof" };
}

function responseOf(event: PortEvent): PortForwardResponse {
  switch (event.kind) {
    case "connected":
      return create(PortForwardResponseSchema, {
        message: { case: "connected", value: { address: event.address } },
      });
    case "data":
      return create(PortForwardResponseSchema, { message: { case: "data", value: event.data } });
    case "eof":
      return create(PortForwardResponseSchema, { message: { case: "eof", value: {} } });
    case "reset":
      return create(PortForwardResponseSchema, {
        message: { case: "reset", value: { reason: event.reason } },
      });
    default:
      return event satisfies never;
  }
}

const refused = ({ sandboxId, port }: PortForwardStart, cause: unknown): PaddockError =>
  new PaddockError("PORT_REFUSED", `nothing listens on port ${port} in sandbox ${sandboxId}`, {
    hint: "start a server on the port in one of its containers, on 127.0.0.1, ::1 or all addresses",
    cause,
  });
