/**
 * The contents of a few small files, read again when they change: credentials that are replaced while the service runs.
 *
 * A file is replaced in one of three ways: it is written in place, another one is renamed over it, or a symbolic link in its path is
 * changed (Kubernetes does this with a link between the directory and its files). Events of the file system do not cover all of these,
 * and some file systems, such as those of a network, send none. So the files are read twice a second; they are few and small.
 *
 * A new value is used only when all files are valid together. A half-written file, or a certificate without its key, is reported
 * once and changes nothing.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** A file as it was read. */
export type ReadFile = {
  readonly path: string;
  readonly bytes: Buffer;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
};

export type WatchedFilesOptions<T> = {
  readonly paths: readonly string[];
  /** The value of all files, in the order of `paths`. Throws an Error whose text is fit for a log when they are invalid. */
  readonly parse: (files: readonly ReadFile[]) => T;
  /** Called when the files have changed and are invalid. The value before stays in use. */
  readonly onProblem: (error: Error) => void;
  /** Called when a new value is in use. */
  readonly onReload?: () => void;
};

const REREAD_MS = 500;
const MAX_BYTES = 1024 * 1024;

export class WatchedFiles<T> implements Disposable {
  readonly #options: WatchedFilesOptions<T>;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #interval: NodeJS.Timeout;
  #value: T;
  #seen: string;

  /** Reads the files and starts to watch them. Throws the Error of `parse`, or one that names the file that cannot be read. */
  constructor(options: WatchedFilesOptions<T>) {
    this.#options = options;
    const files = options.paths.map(readSmallFile);
    this.#seen = digestOf(files);
    this.#value = options.parse(files);
    this.#interval = setInterval(() => this.#reread(), REREAD_MS).unref();
  }

  /** The newest valid value. */
  get current(): T {
    return this.#value;
  }

  /** Calls `listener` with each new value; the result stops that. */
  onChange(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#interval);
  }

  #reread(): void {
    let seen = "";
    try {
      const files = this.#options.paths.map(readSmallFile);
      seen = digestOf(files);
      if (seen === this.#seen) return;
      this.#value = this.#options.parse(files);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      const problem = seen || error.message;
      if (problem !== this.#seen) this.#options.onProblem(error);
      this.#seen = problem;
      return;
    }
    this.#seen = seen;
    for (const listener of this.#listeners) listener(this.#value);
    this.#options.onReload?.();
  }
}

/** Reads a regular file of at most 1 MiB. Throws an Error that names it. */
export function readSmallFile(path: string): ReadFile {
  let descriptor: number | undefined;
  try {
    // Without O_NONBLOCK, opening a pipe waits for a writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error("it is not a regular file");
    if (stat.size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    return { path, bytes: readFileSync(descriptor), mode: stat.mode & 0o7777, uid: stat.uid };
  } catch (error) {
    throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function digestOf(files: readonly ReadFile[]): string {
  const hash = createHash("sha256");
  for (const { bytes, mode, uid } of files) hash.update(`${bytes.length} ${mode} ${uid} `).update(bytes);
  return hash.digest("hex");
}
