/** Transfers of files for tests: bytes that can be read and written from any offset, as a guest keeps them. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type CopyEndSchema,
  type CopyFromRequest,
  type CopyToStart,
  type FileInfoSchema,
  FileService,
} from "@paddock/protocol";
import type { FakeServer, Incoming } from "./fake-server.ts";

/** What a transfer reads. `end` replaces fields of the summary. */
export type FakeSource = {
  readonly file: MessageInitShape<typeof FileInfoSchema>;
  readonly bytes: Uint8Array;
  readonly end?: Partial<Summary>;
};

type Summary = Exclude<MessageInitShape<typeof CopyEndSchema>, { $typeName: "paddock.v1.CopyEnd" }>;
type Writing = { readonly start: CopyToStart; received: Buffer[]; bytes: number; stream: object };

const CHUNK_BYTES = 256 * 1024;

export class FakeTransfers {
  /** Called for each new download. */
  read: (request: CopyFromRequest) => FakeSource | Promise<FakeSource>;
  /** Called when an upload is complete. Returns fields of the summary. */
  write: (start: CopyToStart, bytes: Buffer) => Partial<Summary> | Promise<Partial<Summary>> = () => ({});
  /** The size of the next chunk of a download, in bytes. */
  chunkBytes: () => number = () => CHUNK_BYTES;
  /** Called before each chunk, with the offset after it. */
  onChunk: (end: number) => void = () => {};
  /** Whether the guest takes the bytes of an upload, and acknowledges them. */
  takes: () => Promise<void> = async () => {};
  /** Called before a stream is answered with `started`. */
  onStart: () => void = () => {};
  /** Ids of the transfers, as each stream names them. */
  readonly ids: string[] = [];
  /** The most bytes that a client sent beyond an acknowledgement. */
  mostUnacknowledged = 0;
  readonly #readings = new Map<string, FakeSource>();
  readonly #writings = new Map<string, Writing>();
  readonly #sha256: (bytes: Uint8Array) => Uint8Array;

  constructor(
    sha256: (bytes: Uint8Array) => Uint8Array,
    read: FakeTransfers["read"] = () => Promise.reject(new PaddockError("FILE_NOT_FOUND", "no such file")),
  ) {
    this.#sha256 = sha256;
    this.read = read;
  }

  serve(api: Pick<FakeServer, "duplex" | "serverStream">): this {
    api.serverStream(FileService.method.copyFrom, (request) => this.#copyFrom(request));
    api.duplex(FileService.method.copyTo, (call) => this.#copyTo(call));
    return this;
  }

  /** Forgets all transfers, as a guest does after 60 s. */
  forget(): void {
    this.#readings.clear();
    this.#writings.clear();
  }

  async *#copyFrom(request: CopyFromRequest) {
    const { transferId, offset } = request;
    this.ids.push(transferId);
    const known = this.#readings.get(transferId);
    if (offset > 0n && !known) throw unknownTransfer(transferId);
    const source = known ?? (await this.read(request));
    this.#readings.set(transferId, source);
    this.onStart();
    yield { message: { case: "started" as const, value: { file: source.file } } };
    const { bytes } = source;
    for (let at = Number(offset); at < bytes.length; ) {
      const data = bytes.subarray(at, at + Math.min(this.chunkBytes(), CHUNK_BYTES));
      this.onChunk(at + data.length);
      yield { message: { case: "chunk" as const, value: { offset: BigInt(at), data } } };
      at += data.length;
    }
    yield { message: { case: "end" as const, value: this.#summary(bytes, source.end) } };
  }

  async #copyTo(
    call: Incoming<typeof FileService.method.copyTo.input, typeof FileService.method.copyTo.output>,
  ): Promise<void> {
    const stream = {};
    let writing: Writing | undefined;
    let acknowledged = 0;
    for await (const { message } of call.requests) {
      if (message.case === "start") {
        writing = this.#writing(message.value, stream);
        acknowledged = writing.bytes;
        this.onStart();
        call.send({ message: { case: "started", value: { offset: BigInt(acknowledged) } } });
        continue;
      }
      if (!writing) throw new PaddockError("INVALID_FIELD", "the first message is not start");
      if (writing.stream !== stream) return;
      if (message.case === "eof") {
        const value = await this.#finish(writing, message.value.sha256);
        return call.send({ message: { case: "end", value } });
      }
      if (message.case !== "chunk") continue;
      const { offset, data } = message.value;
      if (Number(offset) !== writing.bytes)
        throw new PaddockError("INVALID_FIELD", `byte ${offset}, not ${writing.bytes}`);
      const end = writing.bytes + data.length;
      this.mostUnacknowledged = Math.max(this.mostUnacknowledged, end - acknowledged);
      this.onChunk(end);
      await this.takes();
      if (writing.stream !== stream) return;
      writing.received.push(Buffer.from(data));
      writing.bytes = end;
      acknowledged = end;
      call.send({ message: { case: "ack", value: { offset: BigInt(end) } } });
    }
  }

  #writing(start: CopyToStart, stream: object): Writing {
    this.ids.push(start.transferId);
    const known = this.#writings.get(start.transferId);
    if (start.resume && !known) throw unknownTransfer(start.transferId);
    const writing = known ?? { start, received: [], bytes: 0, stream };
    writing.stream = stream;
    this.#writings.set(start.transferId, writing);
    return writing;
  }

  async #finish({ start, received }: Writing, sha256: Uint8Array): Promise<Summary> {
    const bytes = Buffer.concat(received);
    if (!this.#sha256(bytes).every((byte, index) => byte === sha256[index]))
      throw new PaddockError("DIGEST_MISMATCH", "the digest does not match");
    return this.#summary(bytes, await this.write(start, bytes));
  }

  #summary(bytes: Uint8Array, end: Partial<Summary> = {}): Summary {
    return { totalBytes: BigInt(bytes.length), sha256: this.#sha256(bytes), entries: 1n, ...end };
  }
}

const unknownTransfer = (id: string): PaddockError =>
  new PaddockError("TRANSFER_NOT_FOUND", `transfer "${id}" does not exist`);
