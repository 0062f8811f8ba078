/** CopyTo of a fake guest, with the window of the agent. */
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Changes } from "@paddock/lifecycle";
import { agentpb } from "@paddock/protocol";
import { guestRefusal } from "./guest-refusal.ts";

const { CopyFormat, FailureReason } = agentpb;
const WINDOW_BYTES = 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

type Message = NonNullable<MessageInitShape<typeof agentpb.CopyToResponseSchema>["message"]>;
type Write = {
  readonly start: agentpb.CopyToStart;
  readonly pieces: Uint8Array[];
  received: number;
  taken: number;
  eof: agentpb.CopyToEof | undefined;
  end: Message | undefined;
};

export class FakeWrites {
  /** Whether bytes are taken as they arrive. */
  isTaking = true;
  /** The file system's room for one file, in bytes. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** Bytes that have arrived and are not taken, at most so far. */
  mostWaitingBytes = 0;
  /** Sent in place of the messages of a write, after `start`. */
  lies: readonly Message[] | undefined;
  readonly #write: (path: string, data: Buffer, mode: number) => void;
  readonly #transfers = new Map<string, Write>();
  readonly #changes = new Changes();

  constructor(write: (path: string, data: Buffer, mode: number) => void) {
    this.#write = write;
  }

  /** Forgets all transfers. */
  forget(): void {
    this.#transfers.clear();
  }

  /** Takes what has arrived, and what arrives from now on. */
  take(): void {
    this.isTaking = true;
    this.#changes.notify();
  }

  async *copy(requests: AsyncIterable<agentpb.CopyToRequest>, signal: AbortSignal) {
    const inputs = requests[Symbol.asyncIterator]();
    const first = await inputs.next();
    if (first.done === true || first.value.message.case !== "start")
      throw guestRefusal(FailureReason.INVALID, "the first message must be start");
    if (this.lies !== undefined) {
      for (const message of this.lies) yield { message };
      return;
    }
    const write = this.#begin(first.value.message.value);
    yield { message: { case: "started", value: { offset: BigInt(write.received) } } } as const;
    let refusal: { readonly error: unknown } | undefined;
    void this.#receive(write, inputs).catch((error: unknown) => {
      refusal = { error };
      this.#changes.notify();
    });
    for (let acknowledged = 0; !signal.aborted; ) {
      if (refusal !== undefined) throw refusal.error;
      if (this.isTaking) this.#takeAll(write);
      if (write.taken > acknowledged) {
        acknowledged = write.taken;
        yield { message: { case: "ack", value: { offset: BigInt(acknowledged) } } } as const;
      } else if (write.end !== undefined) {
        yield { message: write.end };
        return;
      } else await this.#changes.next(signal).catch(() => undefined);
    }
  }

  #begin(start: agentpb.CopyToStart): Write {
    const { format, transferId, resume } = start;
    if (format !== CopyFormat.FILE) throw guestRefusal(FailureReason.INVALID, "the fake has no archives");
    const found = this.#transfers.get(transferId);
    if (resume && found === undefined)
      throw guestRefusal(FailureReason.TRANSFER_NOT_FOUND, `no transfer ${transferId}`);
    if (found !== undefined && resume) return found;
    const write = { start, pieces: [], received: 0, taken: 0, eof: undefined, end: undefined };
    this.#transfers.set(transferId, write);
    return write;
  }

  async #receive(write: Write, inputs: AsyncIterator<agentpb.CopyToRequest>): Promise<void> {
    for (let next = await inputs.next(); next.done !== true; next = await inputs.next()) {
      const { message } = next.value;
      if (message.case === "chunk") this.#put(write, message.value);
      else if (message.case === "eof") write.eof = message.value;
      else throw guestRefusal(FailureReason.INVALID, "a second start");
      this.#changes.notify();
    }
  }

  #put(write: Write, { offset, data }: agentpb.CopyChunk): void {
    if (offset !== BigInt(write.received)) throw guestRefusal(FailureReason.INVALID, "a wrong offset");
    if (data.length < 1 || data.length > CHUNK_BYTES)
      throw guestRefusal(FailureReason.INVALID, "a wrong size");
    write.received += data.length;
    const waiting = write.received - write.taken;
    this.mostWaitingBytes = Math.max(this.mostWaitingBytes, waiting);
    if (waiting > WINDOW_BYTES) throw guestRefusal(FailureReason.INVALID, "chunks must fit in the window");
    if (write.received > this.roomBytes)
      throw guestRefusal(FailureReason.DISK_FULL, "no space left on device");
    write.pieces.push(data);
  }

  /** Takes what has arrived. Replaces the file when that is all. */
  #takeAll(write: Write): void {
    write.taken = write.received;
    if (write.eof === undefined || write.end !== undefined) return;
    const { totalBytes, sha256 } = write.eof;
    const data = Buffer.concat(write.pieces);
    const digest = createHash("sha256").update(data).digest();
    if (totalBytes !== BigInt(data.length) || !digest.equals(sha256))
      throw guestRefusal(FailureReason.DIGEST_MISMATCH, "the bytes do not have their digest");
    this.#write(write.start.path, data, write.start.mode);
    write.end = { case: "end", value: { totalBytes, sha256, entries: 1n } };
  }
}
