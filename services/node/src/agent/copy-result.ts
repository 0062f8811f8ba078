/** What a guest says at the end of a copy, and in which pieces it and a client may send bytes. */
import type { agentpb } from "@paddock/protocol";
import { broken } from "./broken-protocol.ts";
import { guestText } from "./guest-text.ts";

/** The largest chunk of a copy, in bytes. */
export const MAX_CHUNK_BYTES = 256 * 1024;
const DIGEST_BYTES = 32;
const MAX_WARNINGS = 100;
/** Characters of a warning; a shortened one has one more. */
const WARNING_CHARACTERS = 399;

export type CopyResult = {
  /** All bytes from offset 0. */
  readonly totalBytes: bigint;
  /** SHA-256. The client compares it: the guest may name any. */
  readonly sha256: Uint8Array;
  readonly entries: bigint;
  readonly skipped: bigint;
  /** At most 100 lines of at most 400 characters. */
  readonly warnings: readonly string[];
};

/** The result of a copy after `totalBytes`. Throws GUEST_FAILED. */
export function copyResult(end: agentpb.CopyEnd, totalBytes: bigint): CopyResult {
  const { sha256, entries, skipped } = end;
  if (end.totalBytes !== totalBytes) throw broken(`counts ${end.totalBytes} bytes instead of ${totalBytes}`);
  if (sha256.length !== DIGEST_BYTES) throw broken(`sent a digest of ${sha256.length} bytes`);
  const warnings = end.warnings.slice(0, MAX_WARNINGS).map((each) => guestText(each, WARNING_CHARACTERS));
  return { totalBytes, sha256, entries, skipped, warnings };
}
