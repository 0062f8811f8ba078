import { create } from "@bufbuild/protobuf";
import { hasReason, PaddockError } from "@paddock/domain";
import {
  type PortForwardRequest,
  type PortForwardResponse,
  PortForwardResponseSchema,
  type PortForwardStart,
} from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { AgentLink } from "../agent/agent-link.ts";
import { forwardPort, type PortInput } from "../agent/port-call.ts";
import type { PortEvent } from "../agent/port-flow.ts";
import { permits } from "../sandboxes/permits.ts";
import { GuestWatch } from "./guest-watch.ts";
import { type StreamContext, streamSandbox } from "./stream-context.ts";

/** How long the link may be down at the beginning, in ms. */
const CONNECT_MS = 10_000;
/** How long the record of a VM's end may take, in ms. */
const CAUSE_MS = 5000;

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
  const link = sandbox.agent;
  using watch = new GuestWatch(sandbox, call.signal);
  const { signal } = watch;
  const agent = await link.client({ signal, deadlineMs: CONNECT_MS });
  try {
    for await (const event of forwardPort(agent, start.port, { inputs: inputsOf(rest), signal }))
      yield responseOf(event);
  } catch (error) {
    signal.throwIfAborted();
    if (hasReason(error, "PORT_REFUSED")) throw refused(start, error);
    throw agent.end === undefined ? error : await causeOf(error, link, signal);
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

/** Why the link broke: the end of the VM, if that was it. */
async function causeOf(error: unknown, link: AgentLink, signal: AbortSignal): Promise<unknown> {
  return await link.client({ signal, deadlineMs: CAUSE_MS }).then(
    () => error,
    (cause: unknown) => (hasReason(cause, "GUEST_UNAVAILABLE") ? error : cause),
  );
}

const refused = ({ sandboxId, port }: PortForwardStart, cause: unknown): PaddockError =>
  new PaddockError("PORT_REFUSED", `nothing listens on port ${port} in sandbox ${sandboxId}`, {
    hint: "start a server on the port in one of its containers, on 127.0.0.1, ::1 or all addresses",
    cause,
  });
