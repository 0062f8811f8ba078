import { statfs } from "node:fs/promises";
import { ImageError } from "./image-error.ts";

const stepBytes = 64 * 1024 ** 2;

/** Ensures that a file system keeps a minimum of free bytes. Checks it after each 64 MiB written. */
export class FreeSpace {
  readonly #directory: string;
  readonly #minFreeBytes: number;
  #sinceCheck = stepBytes;

  constructor(directory: string, minFreeBytes: number) {
    this.#directory = directory;
    this.#minFreeBytes = minFreeBytes;
  }

  /** Call before writing `bytes`. Throws `no_space`. */
  async reserve(bytes: number): Promise<void> {
    this.#sinceCheck += bytes;
    if (this.#sinceCheck < stepBytes) return;
    this.#sinceCheck = 0;
    const { bavail, bsize } = await statfs(this.#directory);
    if (bavail * bsize - bytes < this.#minFreeBytes) throw noSpace(this.#minFreeBytes);
  }
}

function noSpace(minFreeBytes: number, options?: ErrorOptions): ImageError {
  return new ImageError(
    "no_space",
    `the image store must keep ${minFreeBytes} bytes of its disk free`,
    "remove images that are not in use, or give the store a larger disk",
    options,
  );
}

/** Maps the kernel's "disk full" errors to `no_space`. Returns any other error unchanged. */
export function mapDiskFull(error: unknown, minFreeBytes: number): unknown {
  const full =
    error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
  return full ? noSpace(minFreeBytes, { cause: error }) : error;
}
