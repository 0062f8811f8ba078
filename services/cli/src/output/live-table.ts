/**
 * A table on a terminal that is drawn again and again in its place.
 *
 * Each drawing is one write: the cursor goes up to the first line, each line is overwritten and cleared behind its end, and what
 * is left of a longer drawing before is cleared. So nothing flickers, and what was on the terminal above stays. Lines are cut to
 * the terminal's width and the table to its height, as one that wraps or scrolls could not be found again.
 */
import type { Writable } from "node:stream";
import { writeTo } from "../process/output-cursor.ts";
import { type TerminalSize, terminalSize } from "../process/terminal.ts";

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

  /** `size` is asked before each drawing. */
  constructor(stdout: Writable, size = () => terminalSize(stdout) ?? USUAL_SIZE) {
    this.#stdout = stdout;
    this.#size = size;
  }

  /** Draws printable lines in place of those before. */
  async draw(text: string): Promise<void> {
    const size = this.#size();
    const lines = fitting(text.trimEnd().split("\n"), size);
    const body = lines.map((line) => `${line}${CLEAR_BEHIND}\n`).join("");
    const begin = this.#begin(size);
    this.#drawn = lines.length;
    this.#drawnSize = size;
    await writeTo(this.#stdout, `${begin}${body}${CLEAR_BELOW}`);
  }

  /** The last drawing stays, and the cursor is seen again below it. */
  [Symbol.dispose](): void {
    if (this.#drawnSize !== undefined && !this.#stdout.destroyed) this.#stdout.write(SHOW_CURSOR);
    this.#drawnSize = undefined;
  }

  /** A terminal of another size has wrapped the lines its own way. */
  #begin(size: TerminalSize): string {
    const before = this.#drawnSize;
    if (before === undefined) return HIDE_CURSOR;
    if (before.rows !== size.rows || before.columns !== size.columns) return CLEAR_ALL;
    return `\x1b[${this.#drawn}A\r`;
  }
}

function fitting(lines: readonly string[], { rows, columns }: TerminalSize): string[] {
  // The cursor stands on a line of its own below.
  const room = Math.max(1, rows - 1);
  const hidden = lines.length - room;
  const shown = hidden > 0 ? [...lines.slice(0, room - 1), `(${hidden + 1} more)`] : lines;
  // A line that reaches the last column would have its last letter cleared by what clears behind it.
  return shown.map((line) => cut(line, columns - 1));
}

/** East Asian letters and pictures, two columns wide, begin here; what is narrow behind it is taken for wide, too. */
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
