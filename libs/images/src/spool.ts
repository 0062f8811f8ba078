/**
 * The archive of one import, received into a private file. Two passes read it, so it has to rest somewhere;
 * an outer compression is undone on the way in, which makes every blob a plain slice of the file.
 */
import { type FileHandle, open } from "node:fs/promises";
import { type Compression, decompress, sniffCompression } from "./decompress.ts";
import type { FreeSpace } from "./free-space.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import type { ImageLimits } from "./limits.ts";

export interface SpoolOptions {
  readonly path: string;
  readonly limits: ImageLimits;
  readonly space: FreeSpace;
  readonly onReceived: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** A received archive. Reading needs no lock: any number of slices can be read side by side. */
export class Spool implements AsyncDisposable {
  readonly #file: FileHandle;
  /** Bytes in the file. */
  readonly size: number;

  constructor(file: FileHandle, size: number) {
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

/** Receives an archive. The caller removes the file at `path`, whether this succeeds or throws. */
export async function receive(source: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<Spool> {
  const file = await open(options.path, "wx+", 0o600);
  try {
    return new Spool(file, await fill(file, source, options));
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function fill(
  file: FileHandle,
  source: AsyncIterable<Uint8Array>,
  options: SpoolOptions,
): Promise<number> {
  const { limits, space } = options;
  const { compression, stream } = await peek(received(abortable(source, options.signal), options));
  let size = 0;
  const plain = decompress(stream, compression, {
    what: "the archive",
    maxBytes: limits.maxArchiveBytes,
    maxRatio: limits.maxCompressionRatio,
  });
  for await (const chunk of plain) {
    await space.reserve(chunk.length);
    await file.writeFile(chunk);
    size += chunk.length;
  }
  if (size === 0) throw invalidArchive("the archive is empty");
  return size;
}

async function* received(
  source: AsyncIterable<Uint8Array>,
  { limits, onReceived }: SpoolOptions,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    if (bytes > limits.maxArchiveBytes)
      throw new ImageError(
        "too_large",
        `the archive is larger than ${limits.maxArchiveBytes} bytes`,
        "make the image smaller, or raise the node's image limits",
      );
    onReceived(bytes);
    yield chunk;
  }
}

/** Looks at the first bytes of a stream without losing them. */
async function peek(
  source: AsyncGenerator<Uint8Array>,
): Promise<{ compression: Compression; stream: AsyncIterable<Uint8Array> }> {
  const head: Uint8Array[] = [];
  let length = 0;
  while (length < 6) {
    const next = await source.next();
    if (next.done === true) break;
    head.push(next.value);
    length += next.value.byteLength;
  }
  const compression = sniffCompression(Buffer.concat(head));
  if (compression === "xz" || compression === "bzip2")
    throw new ImageError(
      "unsupported",
      `an archive compressed with ${compression}`,
      "compress it with gzip or zstd, or not at all",
    );
  return { compression, stream: chain(head, source) };
}

async function* chain(
  head: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* head;
  yield* rest;
}

/** Ends a stream with the signal's reason as soon as it is aborted, even while the source is silent. */
async function* abortable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  let abandon: (reason: unknown) => void = () => undefined;
  const onAbort = () => abandon(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  let finished = false;
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        abandon = reject;
        iterator.next().then(resolve, reject);
      });
      if (next.done === true) {
        finished = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not awaited: a source that hangs in next() would hang here as well.
    if (!finished) void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}
