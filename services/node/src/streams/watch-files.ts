import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  agentpb,
  FileChangeKind,
  type WatchFilesRequest,
  type WatchFilesResponse,
  WatchFilesResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { watchGuestFiles } from "../agent/file-call.ts";
import type { FileEvent } from "../agent/file-change-check.ts";
import { permitsContainer } from "../sandboxes/permits.ts";
import { guestStream } from "./guest-stream.ts";
import { isSuspended } from "./guest-watch.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/** Reports changes in a directory of a container. See `paddock.v1.FileService.WatchFiles`. */
export async function* watchFiles(
  context: StreamContext,
  request: WatchFilesRequest,
  call: CallContext,
): AsyncGenerator<WatchFilesResponse> {
  const { containerId, path, recursive } = request;
  const { sandbox } = streamContainer(context, request, call);
  permitsContainer(sandbox, containerId, "files");
  const asked = { containerId, path, recursive };
  const events = guestStream(sandbox, call, (agent, signal) =>
    watchGuestFiles(agent, asked, { signal, isSuspended: () => isSuspended(sandbox) }),
  );
  for await (const event of events) yield create(WatchFilesResponseSchema, { message: messageOf(event) });
}

type Message = NonNullable<MessageInitShape<typeof WatchFilesResponseSchema>["message"]>;

function messageOf(event: FileEvent): Message {
  switch (event.kind) {
    case "started":
      return { case: "started", value: {} };
    case "missed":
      return { case: "missed", value: {} };
    case "change": {
      const { path, kind, isDirectory } = event.change;
      return { case: "change", value: { path, kind: KINDS[kind], isDirectory } };
    }
    default:
      return event satisfies never;
  }
}

const KINDS: Readonly<Record<agentpb.FileChangeKind, FileChangeKind>> = {
  [agentpb.FileChangeKind.UNSPECIFIED]: FileChangeKind.UNSPECIFIED,
  [agentpb.FileChangeKind.CREATED]: FileChangeKind.CREATED,
  [agentpb.FileChangeKind.WRITTEN]: FileChangeKind.WRITTEN,
  [agentpb.FileChangeKind.ATTRIBUTES]: FileChangeKind.ATTRIBUTES,
  [agentpb.FileChangeKind.REMOVED]: FileChangeKind.REMOVED,
};
