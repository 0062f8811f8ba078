/**
 * Checks a guest's messages of CopyFrom.
 *
 * A client keeps the bytes of a broken transfer and asks for those after them, so a guest with wrong offsets could make it lose or
 * repeat bytes. Here `started` comes first, chunks are adjacent and begin at the requested offset, the end counts all bytes, and
 * nothing comes after it. Any other message ends the stream with GUEST_FAILED.
 */
import type { agentpb } from "@paddock/protocol";
import { broken } from "./broken-protocol.ts";
import { type CopyResult, copyResult, MAX_CHUNK_BYTES } from "./copy-result.ts";

export type CopyFromEvent =
  | { readonly kind: "started"; readonly file: agentpb.FileInfo | undefined }
  | { readonly kind: "chunk"; readonly offset: bigint; readonly data: Uint8Array }
  | { readonly kind: "end"; readonly result: CopyResult };

export class CopyFromCheck {
  #next: bigint;
  #hasStarted = false;
  #hasEnded = false;

  /** For a copy that was requested from this offset on. */
  constructor(offset: bigint) {
    this.#next = offset;
  }

  /** Converts a message to an event. Throws GUEST_FAILED. */
  take({ message }: agentpb.CopyFromResponse): CopyFromEvent {
    if (this.#hasEnded) throw broken("sent a message after the end of a copy");
    if (message.case === "started") return this.#started(message.value);
    if (!this.#hasStarted) throw broken("did not begin a copy with `started`");
    if (message.case === "chunk") return this.#chunk(message.value);
    if (message.case === "end") return this.#end(message.value);
    if (message.case === undefined) throw broken("sent an empty message");
    return message satisfies never;
  }

  /** The guest's stream has ended. Throws GUEST_FAILED when the copy has not. */
  close(): void {
    if (!this.#hasEnded) throw broken("ended the stream of a copy before its end");
  }

  #started({ file }: agentpb.CopyFromStarted): CopyFromEvent {
    if (this.#hasStarted) throw broken("started a copy twice");
    this.#hasStarted = true;
    return { kind: "started", file };
  }

  #chunk({ offset, data }: agentpb.CopyChunk): CopyFromEvent {
    if (data.length < 1 || data.length > MAX_CHUNK_BYTES)
      throw broken(`sent a chunk of ${data.length} bytes`);
    if (offset !== this.#next) throw broken(`sent bytes at ${offset} instead of ${this.#next}`);
    this.#next += BigInt(data.length);
    return { kind: "chunk", offset, data };
  }

  #end(end: agentpb.CopyEnd): CopyFromEvent {
    const result = copyResult(end, this.#next);
    this.#hasEnded = true;
    return { kind: "end", result };
  }
}
