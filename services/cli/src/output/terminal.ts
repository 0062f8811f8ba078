/** The user's terminal while a process in a sandbox uses it. */
import { spawnSync } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ReadStream, WriteStream } from "node:tty";

export type TerminalSize = { readonly rows: number; readonly columns: number };

export const isTerminal = (stream: Readable | Writable): boolean =>
  (stream instanceof ReadStream || stream instanceof WriteStream) && stream.isTTY;

/** The size in characters. Undefined when `stdout` is not a terminal or its size is unknown. */
export function terminalSize(stdout: Writable): TerminalSize | undefined {
  if (!(stdout instanceof WriteStream) || !stdout.rows || !stdout.columns) return undefined;
  return { rows: stdout.rows, columns: stdout.columns };
}

/** Calls back with each new size. Returns a function that ends this. */
export function watchSize(stdout: Writable, onSize: (size: TerminalSize) => void): () => void {
  const listener = () => {
    const size = terminalSize(stdout);
    if (size) onSize(size);
  };
  stdout.on("resize", listener);
  return () => void stdout.off("resize", listener);
}

/** Passes all keys through, including Ctrl-C, until the returned function is called or this process exits. */
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
 * Turns the translation of "\n" to "\r\n" on or off. The terminal of the process has translated already, and a full-screen
 * program uses a lone "\n" to move down only. Raw mode in Node.js covers input alone, so stty(1) does it.
 */
function processOutput(terminal: ReadStream, setting: "opost" | "-opost"): void {
  spawnSync("stty", [setting], { stdio: [terminal, "ignore", "ignore"] });
}
