/**
 * Progress on stderr: the current phase, and how long each phase took.
 *
 * On a terminal the line of the current phase is redrawn. Otherwise each phase prints one plain line when it ends, so that logs
 * stay readable. Quiet prints nothing.
 */
import type { Writable } from "node:stream";
import type pc from "picocolors";
import { formatSpan } from "./quantities.ts";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;

export type Colors = ReturnType<typeof pc.createColors>;

export type ProgressOptions = {
  readonly stderr: Writable;
  readonly isTerminal: boolean;
  readonly quiet: boolean;
  readonly colors: Colors;
};

export type Phase = { update(detail: string): void };

export class Progress {
  readonly #options: ProgressOptions;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  /** Runs `work` under a label. `done` formats the outcome; without it the label is printed. The caller reports failures. */
  async phase<T>(label: string, work: (phase: Phase) => Promise<T>, done?: (value: T) => string): Promise<T> {
    const began = performance.now();
    const line = this.#liveLine(label, began);
    try {
      const value = await work(line);
      line.clear();
      this.note(
        `${done?.(value) ?? label} ${this.#options.colors.dim(`(${formatSpan(performance.now() - began)})`)}`,
      );
      return value;
    } catch (error) {
      line.clear();
      throw error;
    }
  }

  /** Prints one line with a check mark. */
  note(text: string): void {
    const { quiet, colors, stderr } = this.#options;
    if (!quiet) stderr.write(`${colors.green("✓")} ${text}\n`);
  }

  #liveLine(label: string, began: number): Phase & { clear(): void } {
    const { isTerminal, quiet, colors, stderr } = this.#options;
    if (!isTerminal || quiet) return { update: () => {}, clear: () => {} };
    let detail = "";
    let frame = 0;
    const draw = () => {
      frame = (frame + 1) % FRAMES.length;
      const span = colors.dim(formatSpan(performance.now() - began));
      stderr.write(
        `\r\x1b[K${colors.cyan(FRAMES[frame] ?? "")} ${label} ${detail}${detail ? " " : ""}${span}`,
      );
    };
    const timer = setInterval(draw, FRAME_MS);
    draw();
    return {
      update: (text) => {
        detail = text;
      },
      clear: () => {
        clearInterval(timer);
        stderr.write("\r\x1b[K");
      },
    };
  }
}
