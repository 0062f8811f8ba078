import { createHash } from "node:crypto";
import { ImageError, invalidArchive } from "./image-error.ts";

/** `sha256:` and 64 lower-case hex digits. Images use no other digest algorithm in practice. */
export type Digest = `sha256:${string}`;

/** Parses a digest from a manifest. Throws `invalid_archive`, or `unsupported` for another algorithm. */
export function parseDigest(text: string): Digest {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(text)?.[1];
  if (hex !== undefined) return `sha256:${hex}`;
  if (/^sha512:[0-9a-f]{128}$/.test(text))
    throw new ImageError("unsupported", "a sha512 digest", "make the image with sha256 digests");
  throw invalidArchive("a digest in the image is malformed");
}

/** The 64 hex digits of a digest. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Passes a stream through, and calls `done` with its digest and size at the end. */
export async function* measured(
  source: AsyncIterable<Buffer>,
  done: (digest: Digest, size: number) => void,
): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    size += chunk.length;
    yield chunk;
  }
  done(`sha256:${hash.digest("hex")}`, size);
}

/** Throws `digest_mismatch` unless both are equal. */
export function verifyDigest(what: string, actual: Digest, expected: Digest): void {
  if (actual === expected) return;
  throw new ImageError(
    "digest_mismatch",
    `${what} has the digest ${actual}, expected ${expected}`,
    "the image was damaged or changed in transit; export it again",
  );
}
