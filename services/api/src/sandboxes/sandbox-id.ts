/** Ids of objects whose requests name none. */
import { createHash } from "node:crypto";

/** The id of a sandbox whose request names none. */
export const sandboxIdOf = (requestId: string): string => idOf("sandbox", requestId);

/** The name of a volume whose request names none. */
export const volumeNameOf = (requestId: string): string => idOf("volume", requestId);

/**
 * A UUID version 8 (RFC 9562, section 5.8) of the request id's SHA-256. It follows from the request, so a repeated request means
 * the same object at every api, without a table of requests.
 */
function idOf(kind: string, requestId: string): string {
  const bytes = createHash("sha256").update(`paddock.v1 ${kind}\n${requestId}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
