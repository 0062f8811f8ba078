/**
 * A table on a terminal that is redrawn in place.
 *
 * Each drawing is one write: the cursor moves up to the first line, each line is overwritten and cleared to its end, and the rest
 * of a longer drawing is cleared. So nothing flickers, and the lines above stay. Lines are cut to the width of the terminal and
 * the table to its height, because a table that wraps or scrolls cannot be overwritten.
 */
import type { Writable } from "node:stream";
import { type TerminalSize, terminalSize } from "./terminal.ts";
import { writeTo } from "./write-to.ts";

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_ALL = "\x1b[H\x1b[2J";
const CLEAR_BEHIND = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

const USUAL_SIZE: TerminalSize = { rows: 24, columns: 80 };

export class LiveTable implements Disposable {
  readonly #stdout: Writable;
  readonly #size: () => TerminalSize;
  #drawn = 0;
  #drawnSize: TerminalSize | undefined;

  /** `size` is called before each drawing. */
  constructor(stdout: Writable, size = () => terminalSize(stdout) ?? USUAL_SIZE) {
    this.#stdout = stdout;
    this.#size = size;
  }

  /** Draws printable lines in place of the previous ones. */
  async draw(text: string): Promise<void> {
    const size = this.#size();
    const lines = fitting(text.trimEnd().split("\n"), size);
    const body = lines.map((line) => `${line}${CLEAR_BEHIND}\n`).join("");
    const begin = this.#begin(size);
    this.#drawn = lines.length;
    this.#drawnSize = size;
    await writeTo(this.#stdout, `${begin}${body}${CLEAR_BELOW}`);
  }

  /** Keeps the last drawing and shows the cursor below it. */
  [Symbol.dispose](): void {
    if (this.#drawnSize !== undefined && !this.#stdout.destroyed) this.#stdout.write(SHOW_CURSOR);
    this.#drawnSize = undefined;
  }

  /** A terminal whose size has changed has wrapped the lines. */
  #begin(size: TerminalSize): string {
    const before = this.#drawnSize;
    if (before === undefined) return HIDE_CURSOR;
    if (before.rows !== size.rows || before.columns !== size.columns) return CLEAR_ALL;
    return `\x1b[${this.#drawn}A\r`;
  }
}

function fitting(lines: readonly string[], { rows, columns }: TerminalSize): string[] {
  // The cursor has a line of its own below the table.
  const room = Math.max(1, rows - 1);
  const hidden = lines.length - room;
  const shown = hidden > 0 ? [...lines.slice(0, room - 1), `(${hidden + 1} more)`] : lines;
  // Clearing after a line that reaches the last column would erase its last character.
  return shown.map((line) => cut(line, columns - 1));
}

/** East Asian characters and emoji, two columns wide, begin here. Narrow characters above it count as wide too. */
const FIRST_WIDE = 0x1100;

function cut(line: string, columns: number): string {
  let [width, end] = [0, 0];
  for (const letter of line) {
    width += (letter.codePointAt(0) ?? 0) < FIRST_WIDE ? 1 : 2;
    if (width > columns) return line.slice(0, end);
    end += letter.length;
  }
  return line;
}
