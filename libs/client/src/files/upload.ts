/** Writes a file or a tree in a container, over any number of streams. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { hasReason, PaddockError } from "@paddock/domain";
import type { CopyEnd, CopyFormat, CopyToRequestSchema, CopyToResponse } from "@paddock/protocol";
import { Resumption } from "./resumption.ts";
import {
  type FileAddress,
  newTransferId,
  streamOptions,
  type TransferOptions,
  transferLost,
  verifyEnd,
} from "./transfer.ts";
import { UploadWindow } from "./upload-window.ts";

export type UploadOptions = TransferOptions & {
  /** The file that is written, or the directory that an archive is extracted into. */
  readonly destination: FileAddress;
  readonly format: CopyFormat;
  /** The bytes. A failure of this source cancels the transfer, and the upload throws it. */
  readonly source: AsyncIterable<Uint8Array>;
  /** Permission bits of a file; 0 means those of the file that is replaced, or 0644. */
  readonly mode?: number | undefined;
  /** Owner of all entries of an archive, in place of the owners in it. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
};

type Request = MessageInitShape<typeof CopyToRequestSchema>;

/**
 * Writes the bytes of `source`; returns the guest's summary when everything is on the container's disk. At most 1 MiB is sent and
 * kept beyond what the guest has taken. A broken stream is continued where the guest stopped. Throws `PaddockError`:
 * FILE_NOT_FOUND, FILE_REFUSED, DISK_FULL, UNSAFE_PATH, TRANSFER_NOT_FOUND (broken, and forgotten by the guest), DIGEST_MISMATCH,
 * and those of a sandbox or node that is lost; or the reason of `signal`.
 */
export async function upload(options: UploadOptions): Promise<CopyEnd> {
  const window = new UploadWindow(options.source, options.sha256);
  const resumption = new Resumption(options);
  let position = { transferId: newTransferId(), resume: false };
  try {
    for (;;) {
      try {
        return await send(options, { window, resumption, position });
      } catch (error) {
        if (window.failure) throw window.failure.error;
        const isLost = hasReason(error, "TRANSFER_NOT_FOUND") && position.resume;
        if (isLost && resumption.hasStarted) throw transferLost(window.acknowledged, error);
        if (!isLost) await resumption.wait(error);
        // A start whose answer was lost may have arrived. If it has not, another transfer begins.
        position = isLost ? { transferId: newTransferId(), resume: false } : { ...position, resume: true };
      }
    }
  } finally {
    window.close();
  }
}

type Transfer = {
  readonly window: UploadWindow;
  readonly resumption: Resumption;
  readonly position: { readonly transferId: string; readonly resume: boolean };
};

/** One stream of the transfer, to the end of it. */
async function send(options: UploadOptions, { window, resumption, position }: Transfer): Promise<CopyEnd> {
  const left = new AbortController();
  const begun = Promise.withResolvers<bigint | undefined>();
  left.signal.addEventListener("abort", () => begun.resolve(undefined), { once: true });
  try {
    const { client, destination, format, mode = 0, owner } = options;
    const start = { ...destination, format, mode, ...(owner && { owner }), ...position };
    const requests = requestsOf(start, { window, begun: begun.promise, left: left.signal });
    for await (const response of client.files.copyTo(requests, streamOptions(options, left.signal))) {
      const end = take(response, { options, window, resumption, begin: begun.resolve });
      if (end) return end;
    }
    throw new PaddockError("UNAVAILABLE", "the stream ended before the transfer");
  } finally {
    left.abort();
  }
}

type Taking = {
  readonly options: UploadOptions;
  readonly window: UploadWindow;
  readonly resumption: Resumption;
  readonly begin: (offset: bigint) => void;
};

function take({ message }: CopyToResponse, { options, window, resumption, begin }: Taking) {
  switch (message.case) {
    case "started":
      if (!window.keeps(message.value.offset)) throw offsetNotKept(message.value.offset);
      resumption.started();
      window.acknowledge(message.value.offset);
      begin(message.value.offset);
      return undefined;
    case "ack":
      window.acknowledge(message.value.offset);
      resumption.progressed();
      options.onProgress?.(window.acknowledged);
      return undefined;
    case "end":
      return verified(message.value, window);
    case undefined:
      return undefined;
    default:
      return message satisfies never;
  }
}

function verified(end: CopyEnd, { eof }: UploadWindow): CopyEnd {
  if (!eof) throw new PaddockError("DATA_LOSS", "the guest ended the transfer before its last byte");
  verifyEnd(end, eof.totalBytes, eof.sha256);
  return end;
}

const offsetNotKept = (offset: bigint): PaddockError =>
  new PaddockError("OFFSET_NOT_HELD", `the guest continues at byte ${offset}, which is not kept`, {
    hint: "start the copy again",
  });

type Sending = {
  readonly window: UploadWindow;
  /** The offset to begin at; undefined when the stream broke before. */
  readonly begun: Promise<bigint | undefined>;
  readonly left: AbortSignal;
};

async function* requestsOf(
  start: Extract<NonNullable<Request["message"]>, { case: "start" }>["value"],
  { window, begun, left }: Sending,
): AsyncGenerator<Request> {
  yield { message: { case: "start", value: start } };
  let offset = await begun;
  while (offset !== undefined) {
    const piece = await window.at(offset, left);
    if (!piece) return;
    if (piece.kind === "eof") {
      yield { message: { case: "eof", value: { totalBytes: piece.totalBytes, sha256: piece.sha256 } } };
      return;
    }
    yield { message: { case: "chunk", value: { offset, data: piece.data } } };
    offset += BigInt(piece.data.length);
  }
}
