/**
 * Directories that are held open, so that names in them are resolved in them and nowhere else.
 *
 * Linux resolves /proc/self/fd/N/NAME in the directory that is open as N, whatever has happened to its path meanwhile. Elsewhere
 * the path is used, after each of its directories was found to be one and not a link.
 */
import { closeSync, constants, existsSync, mkdirSync, openSync } from "node:fs";

const BY_DESCRIPTOR = existsSync("/proc/self/fd");
const OPEN = constants.O_RDONLY | constants.O_DIRECTORY;

export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;

/** Another thing than a directory is in the way of an entry. */
export class NoDirectoryError extends Error {}

export class OpenDirectory implements Disposable {
  readonly fd: number;
  readonly #path: Buffer;

  private constructor(fd: number, path: Buffer) {
    this.fd = fd;
    this.#path = BY_DESCRIPTOR ? Buffer.from(`/proc/self/fd/${fd}`) : path;
  }

  /** Opens a directory by its path, which may lead through links. Throws the error of the system. */
  static open(path: string): OpenDirectory {
    return new OpenDirectory(openSync(path, OPEN), Buffer.from(path));
  }

  /** The path to use for a name (a byte string) in this directory. */
  at(name: string): Buffer {
    return Buffer.concat([this.#path, Buffer.from("/"), Buffer.from(name, "latin1")]);
  }

  /** Opens a directory in this one. Undefined if there is none. Throws `NoDirectoryError` for a link or another file. */
  child(name: string): OpenDirectory | undefined {
    const path = this.at(name);
    try {
      return new OpenDirectory(openSync(path, OPEN | constants.O_NOFOLLOW), path);
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT") return undefined;
      if (code === "ELOOP" || code === "ENOTDIR" || code === "EMLINK") throw new NoDirectoryError();
      throw error;
    }
  }

  /** The same, after creating it with `mode` if there is none. */
  childOrNew(name: string, mode: number): OpenDirectory {
    const known = this.child(name);
    if (known) return known;
    mkdirSync(this.at(name), { mode });
    const made = this.child(name);
    if (!made) throw new NoDirectoryError();
    return made;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
