/** What downloads and uploads of files have in common. */
import type { CallOptions } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import type { CopyEnd } from "@paddock/protocol";
import type { ApiClient } from "../api-client.ts";
import { newRequestId } from "../request-id.ts";
import type { ResumptionOptions } from "./resumption.ts";

/** A file or directory in a container. */
export type FileAddress = {
  readonly sandboxId: string;
  readonly containerId: string;
  /** At most 4096 bytes; one that is not absolute begins at "/". */
  readonly path: string;
};

/** Computes a SHA-256, as `createHash("sha256")` of Node.js does. It must be new, and is used up by one transfer. */
export interface Sha256 {
  update(data: Uint8Array): unknown;
  digest(): Uint8Array;
}

export type TransferOptions = ResumptionOptions & {
  readonly client: Pick<ApiClient, "files">;
  readonly sha256: Sha256;
  /** Called with the number of bytes transferred so far. */
  readonly onProgress?: ((bytes: bigint) => void) | undefined;
};

export const newTransferId = (): string => newRequestId("copy");

/** Options for one stream of a transfer, which `left` ends. */
export const streamOptions = ({ signal }: ResumptionOptions, left: AbortSignal): CallOptions => ({
  signal: AbortSignal.any([left, ...(signal ? [signal] : [])]),
});

/** TRANSFER_NOT_FOUND for a transfer that broke and that the guest has forgotten. */
export const transferLost = (bytes: bigint, cause: unknown): PaddockError =>
  new PaddockError("TRANSFER_NOT_FOUND", `the transfer broke after ${bytes} bytes and cannot be continued`, {
    hint: "start the copy again",
    cause,
  });

/** Compares the guest's totals with those of this side. Throws DIGEST_MISMATCH. */
export function verifyEnd({ totalBytes, sha256 }: CopyEnd, bytes: bigint, digest: Uint8Array): void {
  if (totalBytes !== bytes)
    throw new PaddockError("DIGEST_MISMATCH", `${bytes} bytes were transferred, and ${totalBytes} expected`);
  if (sha256.toHex() !== digest.toHex())
    throw new PaddockError("DIGEST_MISMATCH", "the transferred bytes do not have the expected SHA-256");
}
