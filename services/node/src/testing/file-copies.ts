/** Copies of files by a client that keeps to the protocol, for tests. */
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Changes } from "@paddock/lifecycle";
import type {
  CopyEnd,
  CopyFromRequestSchema,
  CopyToStartSchema,
  FileInfo,
  FileService,
} from "@paddock/protocol";
import type { CallOptions, GrpcMethods } from "@paddock/rpc";

export type FileCalls = GrpcMethods<typeof FileService>;

const WINDOW_BYTES = 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

export const sha256 = (data: Uint8Array): Buffer => createHash("sha256").update(data).digest();

export const startOf = (value: MessageInitShape<typeof CopyToStartSchema>) =>
  ({ message: { case: "start", value } }) as const;
export const chunkOf = (offset: number, data: Uint8Array) =>
  ({ message: { case: "chunk", value: { offset: BigInt(offset), data } } }) as const;
export const eofOf = (data: Uint8Array, digest = sha256(data)) =>
  ({ message: { case: "eof", value: { totalBytes: BigInt(data.length), sha256: digest } } }) as const;

export type CopyInOptions = CallOptions & {
  /** The digest in `eof`; by default the right one. */
  readonly digest?: Buffer;
  /** Called with each acknowledged offset, and with the first one. */
  readonly onTaken?: (offset: number) => void;
};

/** Writes all of `data` from the offset on that the guest names. */
export async function copyIn(
  files: FileCalls,
  start: MessageInitShape<typeof CopyToStartSchema>,
  data: Buffer,
  { digest = sha256(data), onTaken = () => undefined, ...options }: CopyInOptions = {},
): Promise<CopyEnd> {
  const call = files.copyTo(options);
  const changes = new Changes();
  const left = new AbortController();
  let [begun, taken] = [-1, 0];
  const send = async () => {
    await call.write(startOf(start));
    while (begun < 0) await changes.next(left.signal);
    for (let at = begun; at < data.length; at += CHUNK_BYTES) {
      const piece = data.subarray(at, at + CHUNK_BYTES);
      while (at + piece.length > taken + WINDOW_BYTES) await changes.next(left.signal);
      await call.write(chunkOf(at, piece));
    }
    await call.write(eofOf(data, digest));
    call.end();
  };
  // The responses say why a call has ended.
  send().catch(() => undefined);
  try {
    for await (const { message } of call) {
      if (message.case === "end") return message.value;
      if (message.case === undefined) throw new Error("an empty response");
      taken = Number(message.value.offset);
      if (message.case === "started") begun = taken;
      onTaken(taken);
      changes.notify();
    }
  } finally {
    left.abort();
  }
  throw new Error("the copy ended without an end");
}

export type CopiedOut = {
  readonly file: FileInfo;
  /** The bytes from the requested offset on. */
  readonly bytes: Buffer;
  readonly end: CopyEnd;
};

/** Reads a copy to its end, and checks that chunks are adjacent. Calls `onPiece` with each of them. */
export async function copyOut(
  files: FileCalls,
  request: MessageInitShape<typeof CopyFromRequestSchema>,
  onPiece: (piece: Uint8Array) => void = () => undefined,
): Promise<CopiedOut> {
  const pieces: Uint8Array[] = [];
  let file: FileInfo | undefined;
  let next = request.offset ?? 0n;
  for await (const { message } of files.copyFrom(request)) {
    if (message.case === "started") file = message.value.file;
    if (message.case === "chunk") {
      if (message.value.offset !== next)
        throw new Error(`a chunk begins at ${message.value.offset}, not ${next}`);
      next += BigInt(message.value.data.length);
      pieces.push(message.value.data);
      onPiece(message.value.data);
    }
    if (message.case === "end") {
      if (file === undefined) throw new Error("the copy has not started");
      return { file, bytes: Buffer.concat(pieces), end: message.value };
    }
  }
  throw new Error("the copy ended without an end");
}
