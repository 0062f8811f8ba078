/**
 * The contents of a few small files, read again when they change: credentials that are replaced while the service runs.
 *
 * A file is replaced in one of three ways: it is written in place, another one is renamed over it, or a symbolic link in its path
 * is changed (Kubernetes does this with a link between the directory and its files). So the directories of the file and of each
 * link in its path are watched, and an event there causes the files to be read. They are also read every ten seconds, because
 * some file systems, such as network ones, send no events.
 *
 * A new value is used only if all files are valid together. A half-written file, or a certificate without its key, is reported
 * once and changes nothing.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  type FSWatcher,
  fstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  statSync,
  watch,
} from "node:fs";
import { dirname, join, resolve } from "node:path";

/** A file with its contents and attributes. */
export type ReadFile = {
  readonly path: string;
  readonly bytes: Buffer;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
};

export type WatchedFilesOptions<T> = {
  readonly paths: readonly string[];
  /** The value of all files, in the order of `paths`. Throws an Error whose text is suitable for a log if they are invalid. */
  readonly parse: (files: readonly ReadFile[]) => T;
  /** Called when the files have changed and are invalid. The previous value stays in use. */
  readonly onProblem: (error: Error) => void;
  /** Called when a new value is in use. */
  readonly onReload?: () => void;
};

/** One replacement causes several events at once. */
const SETTLE_MS = 50;
const REREAD_MS = 10_000;
const MAX_BYTES = 1024 * 1024;
const MAX_LINKS = 40;

export class WatchedFiles<T> implements Disposable {
  readonly #options: WatchedFilesOptions<T>;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #interval: NodeJS.Timeout;
  #soon: NodeJS.Timeout | undefined;
  #value: T;
  #seen: string;

  /** Reads the files and starts to watch them. Throws the Error of `parse`, or one that names the file that cannot be read. */
  constructor(options: WatchedFilesOptions<T>) {
    this.#options = options;
    this.#watch();
    const files = options.paths.map(readSmallFile);
    this.#seen = digestOf(files);
    this.#value = options.parse(files);
    this.#interval = setInterval(() => this.#reread(), REREAD_MS).unref();
  }

  /** The newest valid value. */
  get current(): T {
    return this.#value;
  }

  /** Calls `listener` with each new value. The returned function unsubscribes. */
  onChange(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#interval);
    clearTimeout(this.#soon);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #reread(): void {
    this.#watch();
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

  /** Watches the directories of the files. If watching fails, only the interval finds changes. */
  #watch(): void {
    const wanted = new Map(
      this.#options.paths.flatMap(directoriesOf).map((path) => [identityOf(path), path]),
    );
    for (const [identity, watcher] of this.#watchers) {
      if (wanted.has(identity)) continue;
      watcher.close();
      this.#watchers.delete(identity);
    }
    for (const [identity, path] of wanted) {
      if (this.#watchers.has(identity)) continue;
      try {
        const watcher = watch(path, { persistent: false }, () => this.#rereadSoon());
        watcher.on("error", () => this.#rereadSoon());
        this.#watchers.set(identity, watcher);
      } catch {}
    }
  }

  #rereadSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#reread();
    }, SETTLE_MS).unref();
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

/** The directories in which a change may make `path` another file: its own, and that of each symbolic link in the path. */
function directoriesOf(path: string): string[] {
  const found = new Set<string>();
  let rest = resolve(path);
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    const link = firstLink(rest);
    if (link === undefined) break;
    found.add(link.directory);
    rest = link.target;
  }
  return [...found, dirname(rest)];
}

function firstLink(path: string): { readonly directory: string; readonly target: string } | undefined {
  const parts = path.split("/").slice(1);
  let directory = "/";
  for (const [index, part] of parts.entries()) {
    const at = join(directory, part);
    try {
      return { directory, target: resolve(directory, readlinkSync(at), ...parts.slice(index + 1)) };
    } catch {
      directory = at;
    }
  }
  return undefined;
}

/** A replaced directory has the same path and must be watched again. */
function identityOf(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return path;
  }
}

function digestOf(files: readonly ReadFile[]): string {
  const hash = createHash("sha256");
  for (const { bytes, mode, uid } of files) hash.update(`${bytes.length} ${mode} ${uid} `).update(bytes);
  return hash.digest("hex");
}
