import { create } from "@bufbuild/protobuf";
import {
  type CopyToRequest,
  type CopyToResponse,
  CopyToResponseSchema,
  type CopyToStart,
} from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import type { CopyToEvent } from "../agent/copy-to-flow.ts";
import { type CopyToInput, copyToGuest } from "../agent/file-call.ts";
import { permitsContainer } from "../sandboxes/permits.ts";
import { copyEnd } from "../wire/file-info.ts";
import { GUEST_FORMATS } from "./copy-from.ts";
import { guestStream } from "./guest-stream.ts";
import { isSuspended } from "./guest-watch.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/**
 * Writes a file of a container, or extracts an archive. See `paddock.v1.FileService.CopyTo`. The guest keeps what a transfer needs
 * to continue, so it may continue at another daemon.
 */
export async function* copyTo(
  context: StreamContext,
  requests: AsyncIterable<CopyToRequest>,
  call: CallContext,
): AsyncGenerator<CopyToResponse> {
  const { first, rest } = await firstRequest(requests);
  const start = first.message.value;
  const { containerId } = start;
  const { sandbox } = streamContainer(context, start, call);
  permitsContainer(sandbox, containerId, "files");
  const events = guestStream(sandbox, call, (agent, signal) =>
    copyToGuest(agent, guestStart(start), inputsOf(rest), {
      signal,
      isSuspended: () => isSuspended(sandbox),
    }),
  );
  for await (const event of events) yield create(CopyToResponseSchema, { message: messageOf(event) });
}

function guestStart({ containerId, path, format, transferId, mode, owner, resume }: CopyToStart) {
  const named = { containerId, path, format: GUEST_FORMATS[format], transferId, mode, resume };
  return { ...named, ...(owner && { owner: { uid: owner.uid, gid: owner.gid } }) };
}

/** The requests after `start`. */
async function* inputsOf(
  requests: AsyncIterable<{ readonly message: CopyToInput }>,
): AsyncGenerator<CopyToInput> {
  for await (const { message } of requests) yield message;
}

function messageOf(event: CopyToEvent) {
  switch (event.kind) {
    case "started":
      return { case: "started", value: { offset: event.offset } } as const;
    case "ack":
      return { case: "ack", value: { offset: event.offset } } as const;
    case "end":
      return { case: "end", value: copyEnd(event.result) } as const;
    default:
      return event satisfies never;
  }
}
