import { pipeline, Readable } from "node:stream";
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { ImageError, invalidArchive } from "./image-error.ts";

export type Compression = "none" | "gzip" | "zstd";

/** Recognises a compression by its first bytes; a foreign one is named so that the refusal can say it. */
export function sniffCompression(start: Uint8Array): Compression | "xz" | "bzip2" {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("28b52ffd")) return "zstd";
  if (/^5[0-9a-f]2a4d18/.test(hex)) return "zstd";
  if (hex === "fd377a585a00") return "xz";
  if (hex.startsWith("425a68")) return "bzip2";
  return "none";
}

/** Throws `unsupported` for a compression that is not undone here. */
export function supported(found: ReturnType<typeof sniffCompression>, what: string): Compression {
  if (found === "xz" || found === "bzip2")
    throw new ImageError("unsupported", `${what} compressed with ${found}`, "use gzip or zstd");
  return found;
}

export interface DecompressOptions {
  /** Most bytes to yield; more is `too_large`. */
  readonly maxBytes: number;
  /** What is being decompressed, for messages. */
  readonly what: string;
}

/**
 * Undoes a compression, bounded in size. The ratio is not: a file of zeros shrinks a thousandfold in honest images.
 * Also bounds an uncompressed stream.
 * Throws `invalid_archive` for a damaged stream and `too_large` for a bomb.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  options: DecompressOptions,
): AsyncGenerator<Buffer> {
  let bytesOut = 0;
  try {
    for await (const chunk of inflate(source, compression)) {
      bytesOut += chunk.length;
      if (bytesOut > options.maxBytes)
        throw bomb(options.what, `is larger than ${options.maxBytes} bytes uncompressed`);
      yield chunk;
    }
  } catch (error) {
    if (!isDecoderError(error)) throw error;
    throw invalidArchive(`${options.what} is not a whole ${compression} stream`, { cause: error });
  }
}

async function* inflate(source: AsyncIterable<Uint8Array>, compression: Compression): AsyncGenerator<Buffer> {
  if (compression === "none") {
    for await (const chunk of source) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    return;
  }
  const chunkSize = 256 * 1024;
  const decoder =
    compression === "gzip"
      ? createGunzip({ chunkSize })
      : createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: 27 } });
  // The callback only marks errors as handled: pipeline destroys the decoder with them, and the loop throws.
  pipeline(Readable.from(source), decoder, () => undefined);
  yield* decoder;
}

function isDecoderError(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(error.code)
  );
}

function bomb(what: string, why: string): ImageError {
  return new ImageError("too_large", `${what} ${why}`, "make it smaller, or raise the node's image limits");
}
