/**
 * The archive of one import as a seekable file, because two passes read it. A compressed archive is decompressed into a second file,
 * so that every blob is a slice of a file.
 */
import { createReadStream } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { type Compression, decompress, sniffCompression, supported } from "./decompress.ts";
import type { FreeSpace } from "./free-space.ts";
import { invalidArchive } from "./image-error.ts";
import type { ImageLimits } from "./limits.ts";

/** A received archive. Any number of slices can be read concurrently. */
export class Spool implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  /** Size of the file, in bytes. */
  readonly size: number;

  constructor(path: string, file: FileHandle, size: number) {
    this.path = path;
    this.#file = file;
    this.size = size;
  }

  /** The bytes of a slice, in chunks of at most 256 KiB. */
  async *slice(offset: number, size: number): AsyncGenerator<Buffer> {
    const end = offset + size;
    for (let at = offset; at < end; ) {
      const chunk = Buffer.allocUnsafe(Math.min(256 * 1024, end - at));
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) throw invalidArchive("the archive ends in the middle of a blob");
      yield chunk.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

export interface SpoolOptions {
  /** File for the decompressed archive. */
  readonly plain: string;
  readonly limits: ImageLimits;
  readonly space: FreeSpace;
  readonly signal: AbortSignal;
  /** Called with the number of compressed bytes read. */
  readonly onRead: (bytes: number, total: number) => void;
}

/** Opens a received archive. A compressed archive is decompressed first, and its file removed. */
export async function openSpool(received: string, options: SpoolOptions): Promise<Spool> {
  const file = await open(received, "r");
  try {
    const { size } = await file.stat();
    const head = Buffer.alloc(6);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    const compression = supported(sniffCompression(head.subarray(0, bytesRead)), "an archive");
    if (compression === "none") return new Spool(received, file, size);
    const plain = await decompressFile(received, { compression, size }, options);
    await file.close();
    await rm(received);
    return plain;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function decompressFile(
  received: string,
  { compression, size }: { compression: Compression; size: number },
  options: SpoolOptions,
): Promise<Spool> {
  const { limits, space, signal } = options;
  const file = await open(options.plain, "wx+", 0o600);
  try {
    let bytes = 0;
    const source = counted(createReadStream(received, { highWaterMark: 256 * 1024, signal }), (read) =>
      options.onRead(read, size),
    );
    for await (const chunk of decompress(source, compression, {
      what: "the archive",
      maxBytes: limits.maxArchiveBytes,
    })) {
      await space.reserve(chunk.length);
      await file.writeFile(chunk);
      bytes += chunk.length;
    }
    if (bytes === 0) throw invalidArchive("the archive is empty");
    return new Spool(options.plain, file, bytes);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function* counted(
  source: AsyncIterable<Buffer>,
  onRead: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    onRead(bytes);
    yield chunk;
  }
}
