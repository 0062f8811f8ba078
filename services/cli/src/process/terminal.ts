/** Our own terminal, while it stands for the terminal of a process in a sandbox. */
import { spawnSync } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ReadStream, WriteStream } from "node:tty";

export type TerminalSize = { readonly rows: number; readonly columns: number };

export const isTerminal = (stream: Readable | Writable): boolean =>
  (stream instanceof ReadStream || stream instanceof WriteStream) && stream.isTTY;

/** The size, or undefined when `stdout` is no terminal or does not know. */
export function terminalSize(stdout: Writable): TerminalSize | undefined {
  if (!(stdout instanceof WriteStream) || !stdout.rows || !stdout.columns) return undefined;
  return { rows: stdout.rows, columns: stdout.columns };
}

/** Calls back with each new size. Undo with the function it answers. */
export function watchSize(stdout: Writable, onSize: (size: TerminalSize) => void): () => void {
  const listener = () => {
    const size = terminalSize(stdout);
    if (size) onSize(size);
  };
  stdout.on("resize", listener);
  return () => void stdout.off("resize", listener);
}

/** Keys go to the process as they are, Ctrl-C included. Undo with the function it answers, on every way out. */
export function enterRawMode(stdin: Readable): () => void {
  if (!(stdin instanceof ReadStream)) return () => {};
  stdin.setRawMode(true);
  processOutput(stdin, "-opost");
  let isRaw = true;
  const restore = () => {
    if (!isRaw) return;
    isRaw = false;
    processOutput(stdin, "opost");
    if (!stdin.destroyed) stdin.setRawMode(false);
  };
  process.once("exit", restore);
  return () => {
    process.off("exit", restore);
    restore();
  };
}

/**
 * The process's own terminal has made "\r\n" of its "\n" already, and full-screen programs mean a lone "\n" to move down
 * and no more. Node's raw mode is about input and leaves this translation on; stty(1) takes it off.
 */
function processOutput(terminal: ReadStream, setting: "opost" | "-opost"): void {
  spawnSync("stty", [setting], { stdio: [terminal, "ignore", "ignore"] });
}
