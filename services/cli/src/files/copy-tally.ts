/** What a copy has done so far. */
import { printable } from "../output/printable.ts";
import { formatBytes } from "../output/quantities.ts";
import { shownName } from "./entry-names.ts";

const MAX_WARNINGS = 100;

export class CopyTally {
  /** Files, directories and links. */
  entries = 0;
  /** Bytes of files, or of the archive if that is what was copied. */
  bytes = 0;
  /** Entries that were left out. */
  skipped = 0;
  /** Files that lost attributes that this host cannot keep. */
  readonly lost = { "extended attributes": 0, "setuid and setgid bits": 0, "hard links": 0 };
  readonly #warnings: string[] = [];

  /** `name` is a byte string. */
  skip(name: string, why: string): void {
    this.skipped += 1;
    this.warn(`${shownName(name)} is left out: ${why}`);
  }

  warn(text: string): void {
    if (this.#warnings.length < MAX_WARNINGS) this.#warnings.push(printable(text));
  }

  get warnings(): readonly string[] {
    const lost = Object.entries(this.lost)
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${what} of ${count} ${count === 1 ? "file" : "files"} are not kept`);
    return [...this.#warnings, ...lost];
  }

  /** "3 entries, 1.20MiB". */
  get text(): string {
    return `${this.entries} ${this.entries === 1 ? "entry" : "entries"}, ${formatBytes(this.bytes)}`;
  }
}
