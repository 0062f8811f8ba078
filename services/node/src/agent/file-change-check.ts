/**
 * Checks a guest's messages of WatchFiles. A client may join a path to a directory of its own, so one that is absolute or leads out
 * of the watched directory ends the stream with GUEST_FAILED.
 */
import { agentpb } from "@paddock/protocol";
import { broken } from "./broken-protocol.ts";
import { isFileName } from "./guest-file-name.ts";

export type FileEvent =
  | { readonly kind: "started" }
  | { readonly kind: "missed" }
  | { readonly kind: "change"; readonly change: agentpb.FileChange };

const MAX_PATH_CHARACTERS = 4096;
const KINDS: ReadonlySet<agentpb.FileChangeKind> = new Set([
  agentpb.FileChangeKind.CREATED,
  agentpb.FileChangeKind.WRITTEN,
  agentpb.FileChangeKind.ATTRIBUTES,
  agentpb.FileChangeKind.REMOVED,
]);

export class FileChangeCheck {
  #hasStarted = false;

  /** Whether the watch has begun. */
  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  /** Converts a message to an event. Throws GUEST_FAILED. */
  take({ message }: agentpb.WatchFilesResponse): FileEvent {
    if (message.case === "started") {
      if (this.#hasStarted) throw broken("started a watch twice");
      this.#hasStarted = true;
      return { kind: "started" };
    }
    if (!this.#hasStarted) throw broken("did not begin a watch with `started`");
    if (message.case === "missed") return { kind: "missed" };
    if (message.case === "change") return { kind: "change", change: checked(message.value) };
    if (message.case === undefined) throw broken("sent an empty message");
    return message satisfies never;
  }
}

function checked(change: agentpb.FileChange): agentpb.FileChange {
  const { path, kind } = change;
  if (path.length > MAX_PATH_CHARACTERS) throw broken(`named a path of ${path.length} characters`);
  if (path !== "" && path.split("/").some((part) => !isFileName(part)))
    throw broken("named a changed file by a path that is not below the directory");
  if (!KINDS.has(kind)) throw broken(`named kind ${kind} of a change`);
  return change;
}
