/** CopyFrom of a fake guest. */
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Changes } from "@paddock/lifecycle";
import { agentpb } from "@paddock/protocol";
import { guestRefusal } from "./guest-refusal.ts";

const { CopyFormat, FailureReason } = agentpb;
const CHUNK_BYTES = 256 * 1024;
/** Bytes before the last one that was sent which a transfer keeps. */
const KEPT_BYTES = 4 * 1024 * 1024;

type Message = NonNullable<MessageInitShape<typeof agentpb.CopyFromResponseSchema>["message"]>;
type Info = MessageInitShape<typeof agentpb.FileInfoSchema>;
/** A file as it was at the beginning. */
type Read = { readonly data: Buffer; readonly file: Info; sent: number };

export class FakeReads {
  /** Bytes that were sent, of all transfers. */
  sentBytes = 0;
  /** Sent in place of the messages of a read. */
  lies: readonly Message[] | undefined;
  readonly #data: (path: string) => Buffer;
  readonly #stat: (path: string) => Info;
  readonly #transfers = new Map<string, Read>();
  readonly #changes = new Changes();
  #isStopped = false;

  constructor(data: (path: string) => Buffer, stat: (path: string) => Info) {
    this.#data = data;
    this.#stat = stat;
  }

  /** Sends nothing until it is called with false. */
  stop(isStopped: boolean): void {
    this.#isStopped = isStopped;
    this.#changes.notify();
  }

  /** Forgets all transfers. */
  forget(): void {
    this.#transfers.clear();
  }

  async *copy(request: agentpb.CopyFromRequest) {
    if (this.lies !== undefined) {
      for (const message of this.lies) yield { message };
      return;
    }
    const { data, file, read } = this.#begin(request);
    yield { message: { case: "started", value: { file } } } as const;
    for (let at = Number(request.offset); at < data.length; at += CHUNK_BYTES) {
      while (this.#isStopped) await this.#changes.next(new AbortController().signal);
      const piece = data.subarray(at, at + CHUNK_BYTES);
      read.sent = Math.max(read.sent, at + piece.length);
      this.sentBytes += piece.length;
      yield { message: { case: "chunk", value: { offset: BigInt(at), data: piece } } } as const;
    }
    const whole = request.transferId === "" ? data.subarray(Number(request.offset)) : data;
    const sha256 = createHash("sha256").update(whole).digest();
    const value = { totalBytes: BigInt(data.length), sha256, entries: 1n };
    yield { message: { case: "end", value } } as const;
  }

  #begin({ format, path, transferId, offset }: agentpb.CopyFromRequest) {
    if (format !== CopyFormat.FILE) throw guestRefusal(FailureReason.INVALID, "the fake has no archives");
    if (transferId !== "" && offset > 0n) return this.#continue(transferId, offset);
    const read = { data: this.#data(path), file: this.#stat(path), sent: 0 };
    if (transferId !== "") this.#transfers.set(transferId, read);
    if (offset > BigInt(read.data.length)) throw guestRefusal(FailureReason.OFFSET_NOT_HELD, "after the end");
    return { ...read, read };
  }

  #continue(transferId: string, offset: bigint) {
    const read = this.#transfers.get(transferId);
    if (read === undefined) throw guestRefusal(FailureReason.TRANSFER_NOT_FOUND, `no transfer ${transferId}`);
    const base = Math.max(0, read.sent - KEPT_BYTES);
    if (offset < BigInt(base) || offset > BigInt(read.sent))
      throw guestRefusal(FailureReason.OFFSET_NOT_HELD, `byte ${offset} is not kept`, base);
    return { ...read, read };
  }
}
