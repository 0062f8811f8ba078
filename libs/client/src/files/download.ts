/** Reads a file or a tree of a container, over any number of streams. */
import { hasReason, PaddockError } from "@paddock/domain";
import type { CopyChunk, CopyEnd, CopyFormat, CopyFromResponse, FileInfo } from "@paddock/protocol";
import { Resumption } from "./resumption.ts";
import {
  type FileAddress,
  newTransferId,
  streamOptions,
  type TransferOptions,
  transferLost,
  verifyEnd,
} from "./transfer.ts";

export type DownloadOptions = TransferOptions & {
  readonly source: FileAddress;
  readonly format: CopyFormat;
  /** Whether a symbolic link at the end of the path is followed. */
  readonly follow?: boolean | undefined;
  /** Called once, with the file that is read. */
  readonly onStarted?: ((file: FileInfo) => void) | undefined;
};

/**
 * The bytes of the transfer in pieces of at most 256 KiB; returns the guest's summary. A piece is requested when the one before was
 * taken, so a slow reader slows the guest down. A broken stream is continued where it broke. The SHA-256 is verified before the
 * generator returns. Throws `PaddockError`: FILE_NOT_FOUND, TRANSFER_NOT_FOUND (broken, and forgotten by the guest),
 * DIGEST_MISMATCH, and those of a sandbox or node that is lost; or the reason of `signal`.
 */
export async function* download(options: DownloadOptions): AsyncGenerator<Uint8Array, CopyEnd, undefined> {
  const { sha256, onProgress } = options;
  const resumption = new Resumption(options);
  let transferId = newTransferId();
  let offset = 0n;
  for (;;) {
    const left = new AbortController();
    try {
      for await (const { message } of responses(options, { transferId, offset }, left.signal)) {
        switch (message.case) {
          case "started":
            if (message.value.file && !resumption.hasStarted) options.onStarted?.(message.value.file);
            resumption.started();
            break;
          case "chunk":
            yield take(message.value, offset, sha256);
            offset += BigInt(message.value.data.length);
            resumption.progressed();
            onProgress?.(offset);
            break;
          case "end":
            verifyEnd(message.value, offset, sha256.digest());
            return message.value;
          case undefined:
            break;
          default:
            message satisfies never;
        }
      }
      throw new PaddockError("UNAVAILABLE", "the stream ended before the transfer");
    } catch (error) {
      if (offset > 0n && hasReason(error, "TRANSFER_NOT_FOUND")) throw transferLost(offset, error);
      await resumption.wait(error);
    } finally {
      left.abort();
    }
    // Nothing of the transfer has arrived: another one begins, whatever the guest knows of this one.
    if (offset === 0n) transferId = newTransferId();
  }
}

function responses(
  options: DownloadOptions,
  position: { readonly transferId: string; readonly offset: bigint },
  left: AbortSignal,
): AsyncIterable<CopyFromResponse> {
  const { client, source, format, follow = false } = options;
  return client.files.copyFrom({ ...source, format, follow, ...position }, streamOptions(options, left));
}

/** The bytes of a chunk, which must follow those before. */
function take(chunk: CopyChunk, offset: bigint, sha256: { update(data: Uint8Array): unknown }): Uint8Array {
  if (chunk.offset !== offset)
    throw new PaddockError("DATA_LOSS", `a chunk begins at byte ${chunk.offset} in place of ${offset}`);
  sha256.update(chunk.data);
  return chunk.data;
}
