/**
 * What flows over one call of CopyTo.
 *
 * ```text
 *   client ── chunk, eof ──> offsets follow ──> window of 1 MiB ──> guest
 *   client <── started, ack, end <──────────── take <──────────── guest
 * ```
 *
 * The guest says with which byte the transfer begins, and which bytes it has taken. A chunk of the client waits here until it fits
 * in the window, so neither side keeps more than the window whatever a client sends. Nothing of a transfer is kept here: when the
 * call breaks, the guest knows how far it was.
 */
import { invalidField } from "@paddock/domain";
import { Changes } from "@paddock/lifecycle";
import type { agentpb } from "@paddock/protocol";
import { broken } from "./broken-protocol.ts";
import { type CopyResult, copyResult, MAX_CHUNK_BYTES } from "./copy-result.ts";

export type CopyToEvent =
  | { readonly kind: "started"; readonly offset: bigint }
  | { readonly kind: "ack"; readonly offset: bigint }
  | { readonly kind: "end"; readonly result: CopyResult };

export type CopyChunk = { readonly offset: bigint; readonly data: Uint8Array };
export type CopyToEof = { readonly totalBytes: bigint; readonly sha256: Uint8Array };

/** Bytes beyond the last acknowledgement that may be sent. */
const WINDOW_BYTES = 1024n * 1024n;

export class CopyToFlow {
  readonly #resumes: boolean;
  readonly #changes = new Changes();
  #hasStarted = false;
  #sent = 0n;
  /** What the guest has taken at least. */
  #acknowledged = 0n;
  #hasAcknowledged = false;
  #eof: CopyToEof | undefined;
  #hasEnded = false;

  /** `resumes` is whether an earlier transfer is continued. */
  constructor(resumes: boolean) {
    this.#resumes = resumes;
  }

  /** Whether the guest owes a message. */
  get isOwed(): boolean {
    return !this.#hasStarted || this.#acknowledged < this.#sent || this.#eof !== undefined;
  }

  /** Resolves when the guest has said with which byte the transfer begins. */
  async begun(signal: AbortSignal): Promise<void> {
    while (!this.#hasStarted) await this.#changes.next(signal);
  }

  /** Takes a chunk of the client. Resolves when it may be sent. Rejects with INVALID_FIELD, or the signal's reason. */
  async offer({ offset, data }: CopyChunk, signal: AbortSignal): Promise<void> {
    if (this.#eof !== undefined) throw invalidField("chunk", "must not follow `eof`");
    if (data.length > MAX_CHUNK_BYTES)
      throw invalidField("chunk.data", `must be at most ${MAX_CHUNK_BYTES} bytes`);
    if (offset !== this.#sent) throw invalidField("chunk.offset", `must be ${this.#sent}, not ${offset}`);
    const end = offset + BigInt(data.length);
    while (end > this.#acknowledged + WINDOW_BYTES) await this.#changes.next(signal);
    this.#sent = end;
  }

  /** Takes the end of the client's bytes. Throws INVALID_FIELD. */
  finish(eof: CopyToEof): void {
    if (this.#eof !== undefined) throw invalidField("eof", "must be sent once");
    if (eof.totalBytes !== this.#sent)
      throw invalidField("eof.total_bytes", `must be ${this.#sent}, not ${eof.totalBytes}`);
    this.#eof = eof;
  }

  /** The client sends no more. Throws INVALID_FIELD if its bytes have not ended. */
  close(): void {
    if (this.#eof === undefined) throw invalidField("message", "must be `eof` in the last request");
  }

  /** Takes a message of the guest. Throws GUEST_FAILED. */
  take({ message }: agentpb.CopyToResponse): CopyToEvent {
    if (this.#hasEnded) throw broken("sent a message after the end of a copy");
    if (message.case === "started") return this.#started(message.value);
    if (!this.#hasStarted) throw broken("did not begin a copy with `started`");
    if (message.case === "ack") return this.#ack(message.value);
    if (message.case === "end") return this.#end(message.value);
    if (message.case === undefined) throw broken("sent an empty message");
    return message satisfies never;
  }

  /** The guest's stream has ended. Throws GUEST_FAILED when the copy has not. */
  closeGuest(): void {
    if (!this.#hasEnded) throw broken("ended the stream of a copy before its end");
  }

  #started({ offset }: agentpb.CopyToStarted): CopyToEvent {
    if (this.#hasStarted) throw broken("started a copy twice");
    if (!this.#resumes && offset !== 0n) throw broken(`began a new copy at ${offset}`);
    this.#hasStarted = true;
    this.#sent = offset;
    // Of a transfer that is continued, the guest may not have taken all that it has received. It acknowledges what it has.
    this.#acknowledged = offset > WINDOW_BYTES ? offset - WINDOW_BYTES : 0n;
    this.#changes.notify();
    return { kind: "started", offset };
  }

  #ack({ offset }: agentpb.CopyAck): CopyToEvent {
    const least = this.#hasAcknowledged ? this.#acknowledged + 1n : this.#acknowledged;
    if (offset < least || offset === 0n || offset > this.#sent)
      throw broken(`acknowledged ${offset} of ${this.#sent} bytes`);
    this.#acknowledged = offset;
    this.#hasAcknowledged = true;
    this.#changes.notify();
    return { kind: "ack", offset };
  }

  #end(end: agentpb.CopyEnd): CopyToEvent {
    // A transfer that is continued may have ended after its stream broke.
    if (this.#eof === undefined && !this.#resumes) throw broken("ended a copy before its `eof`");
    const result = copyResult(end, this.#sent);
    if (this.#eof !== undefined && Buffer.compare(result.sha256, this.#eof.sha256) !== 0)
      throw broken("ended a copy with another digest");
    this.#hasEnded = true;
    return { kind: "end", result };
  }
}
