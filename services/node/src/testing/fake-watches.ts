/** WatchFiles of a fake guest. */
import { posix } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Changes } from "@paddock/lifecycle";
import type { agentpb } from "@paddock/protocol";

type Message = NonNullable<MessageInitShape<typeof agentpb.WatchFilesResponseSchema>["message"]>;
/** Changes that wait for a reader before it misses some. */
const QUEUED = 64;

export class FakeWatches {
  /** Number of open watches. */
  open = 0;
  /** Sent in place of the messages of a watch. */
  lies: readonly Message[] | undefined;
  readonly #tells = new Set<(place: string, message: Message) => void>();

  /** Tells all watches of a change. */
  tell(place: string, kind: agentpb.FileChangeKind, isDirectory: boolean): void {
    for (const tell of this.#tells) tell(place, { case: "change", value: { path: "", kind, isDirectory } });
  }

  async *watch(directory: string, signal: AbortSignal) {
    const changes = new Changes();
    const queue: Message[] = [...(this.lies ?? [{ case: "started", value: {} }])];
    const tell = (place: string, message: Message) => {
      const path = posix.relative(directory, place);
      if (message.case !== "change" || path.startsWith("..")) return;
      if (queue.length < QUEUED) queue.push({ case: "change", value: { ...message.value, path } });
      else if (queue.at(-1)?.case !== "missed") queue.push({ case: "missed", value: {} });
      changes.notify();
    };
    this.#tells.add(tell);
    this.open += 1;
    try {
      while (!signal.aborted) {
        const message = queue.shift();
        if (message === undefined) await changes.next(signal).catch(() => undefined);
        else yield { message };
      }
    } finally {
      this.open -= 1;
      this.#tells.delete(tell);
    }
  }
}
