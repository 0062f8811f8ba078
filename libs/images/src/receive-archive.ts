/**
 * Receives the archive of one import into a private file. Only the first bytes are inspected, because this runs in the daemon for as
 * long as the client sends.
 */
import { open } from "node:fs/promises";
import { sniffCompression, supported } from "./decompress.ts";
import type { FreeSpace } from "./free-space.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import type { ImageLimits } from "./limits.ts";

export interface ReceiveOptions {
  /** File to create. The caller removes it, also after an error. */
  readonly path: string;
  readonly limits: ImageLimits;
  readonly space: FreeSpace;
  readonly onReceived: (bytes: number) => void;
  readonly signal: AbortSignal;
}

const headBytes = 6;

/** Throws `too_large`, `no_space`, `invalid_archive` for an empty archive, or `unsupported` for an unsupported compression. */
export async function receiveArchive(
  source: AsyncIterable<Uint8Array>,
  { path, limits, space, onReceived, signal }: ReceiveOptions,
): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  let head = Buffer.alloc(0);
  let bytes = 0;
  for await (const chunk of abortable(source, signal)) {
    bytes += chunk.byteLength;
    if (bytes > limits.maxArchiveBytes)
      throw new ImageError(
        "too_large",
        `the archive is larger than ${limits.maxArchiveBytes} bytes`,
        "make the image smaller, or raise the node's image limits",
      );
    if (head.length < headBytes) {
      head = Buffer.concat([head, chunk.subarray(0, headBytes - head.length)]);
      supported(sniffCompression(head), "an archive");
    }
    await space.reserve(chunk.byteLength);
    await file.writeFile(chunk);
    onReceived(bytes);
  }
  if (bytes === 0) throw invalidArchive("the archive is empty");
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
    // Not awaited, because a source that hangs in next() would hang here too.
    if (!finished) void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}
