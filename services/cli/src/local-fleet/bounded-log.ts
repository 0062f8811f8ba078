/** Log of a part on disk: the current file and the previous one, so that a log cannot fill the disk. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const MAX_BYTES = 8 * 1024 * 1024;
const TAIL_BYTES = 16 * 1024;

export class BoundedLog {
  readonly path: string;
  readonly #maxBytes: number;
  /** Undefined when closed. */
  #fd: number | undefined;
  #size: number;
  #tail = "";

  constructor(path: string, maxBytes = MAX_BYTES) {
    this.path = path;
    this.#maxBytes = maxBytes;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#fd = openSync(path, "a", 0o600);
    this.#size = fstatSync(this.#fd).size;
  }

  write(data: Buffer): void {
    if (this.#size + data.length > this.#maxBytes) this.#rotate();
    if (this.#fd === undefined) return;
    writeSync(this.#fd, data);
    this.#size += data.length;
    this.#tail = `${this.#tail}${data}`.slice(-TAIL_BYTES);
  }

  /** The last lines written since the log was opened. */
  tail(lines: number): string[] {
    return this.#tail.trimEnd().split("\n").slice(-lines);
  }

  /** Idempotent. */
  close(): void {
    // A closed descriptor number may belong to another file by now.
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #rotate(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    renameSync(this.path, `${this.path}.1`);
    this.#fd = openSync(this.path, "a", 0o600);
    this.#size = 0;
  }
}
