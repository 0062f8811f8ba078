import { create } from "@bufbuild/protobuf";
import {
  agentpb,
  CopyFormat,
  type CopyFromRequest,
  type CopyFromResponse,
  CopyFromResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { CopyFromEvent } from "../agent/copy-from-check.ts";
import { copyFromGuest } from "../agent/file-call.ts";
import { permitsContainer } from "../sandboxes/permits.ts";
import { copyEnd, fileInfo } from "../wire/file-info.ts";
import { guestStream } from "./guest-stream.ts";
import { isSuspended } from "./guest-watch.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/**
 * Reads a file or a tree of a container. See `paddock.v1.FileService.CopyFrom`. The guest keeps what a transfer needs to continue,
 * so it may continue at another daemon.
 */
export async function* copyFrom(
  context: StreamContext,
  request: CopyFromRequest,
  call: CallContext,
): AsyncGenerator<CopyFromResponse> {
  const { containerId, path, transferId, offset, follow } = request;
  const { sandbox } = streamContainer(context, request, call);
  permitsContainer(sandbox, containerId, "files");
  const format = GUEST_FORMATS[request.format];
  const asked = { containerId, path, format, transferId, offset, follow };
  const events = guestStream(sandbox, call, (agent, signal) =>
    copyFromGuest(agent, asked, { signal, isSuspended: () => isSuspended(sandbox) }),
  );
  for await (const event of events) yield create(CopyFromResponseSchema, { message: messageOf(event) });
}

function messageOf(event: CopyFromEvent) {
  switch (event.kind) {
    case "started":
      return { case: "started", value: { file: fileInfo(event.file) } } as const;
    case "chunk":
      return { case: "chunk", value: { offset: event.offset, data: event.data } } as const;
    case "end":
      return { case: "end", value: copyEnd(event.result) } as const;
    default:
      return event satisfies never;
  }
}

/** The guest's word for each format. */
export const GUEST_FORMATS: Readonly<Record<CopyFormat, agentpb.CopyFormat>> = {
  [CopyFormat.UNSPECIFIED]: agentpb.CopyFormat.UNSPECIFIED,
  [CopyFormat.FILE]: agentpb.CopyFormat.FILE,
  [CopyFormat.TAR]: agentpb.CopyFormat.TAR,
};
