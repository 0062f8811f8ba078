import { pipeline, Readable } from "node:stream";
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { ImageError, invalidArchive } from "./image-error.ts";

export type Compression = "none" | "gzip" | "zstd";

/** Detects a compression by its first bytes, including unsupported ones, so that the error can name them. */
export function sniffCompression(start: Uint8Array): Compression | "xz" | "bzip2" {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("28b52ffd")) return "zstd";
  if (/^5[0-9a-f]2a4d18/.test(hex)) return "zstd";
  if (hex === "fd377a585a00") return "xz";
  if (hex.startsWith("425a68")) return "bzip2";
  return "none";
}

/** Throws `unsupported` for an unsupported compression. */
export function supported(found: ReturnType<typeof sniffCompression>, what: string): Compression {
  if (found === "xz" || found === "bzip2")
    throw new ImageError("unsupported", `${what} compressed with ${found}`, "use gzip or zstd");
  return found;
}

export interface DecompressOptions {
  /** Maximum output, in bytes; more is `too_large`. */
  readonly maxBytes: number;
  /** What is being decompressed, for messages. */
  readonly what: string;
}

/**
 * Decompresses a stream, with a bound on the output size. An uncompressed stream is bounded too. The compression ratio is not
 * bounded, because a file of zeros in a valid image shrinks a thousandfold.
 * Throws `invalid_archive` for a damaged stream and `too_large` beyond the bound.
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
        throw tooLarge(options.what, `is larger than ${options.maxBytes} bytes uncompressed`);
      yield chunk;
    }
  } catch (error) {
    if (!isDecoderError(error)) throw error;
    throw invalidArchive(`${options.what} is not a complete ${compression} stream`, { cause: error });
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
  // The callback marks errors as handled. pipeline destroys the decoder with the error, and the loop throws it.
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

function tooLarge(what: string, why: string): ImageError {
  return new ImageError("too_large", `${what} ${why}`, "make it smaller, or raise the node's image limits");
}
