/**
 * Turns a tar stream into a squashfs file with `mksquashfs -tar` (squashfs-tools >= 4.5; the `sqfstar` of 4.5.1 misreads compressor
 * options). The tool reads only archives written by this package, from its standard input. No name from an image is on its command
 * line.
 */
import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Attributes } from "./merged-tree.ts";

export interface WriteSquashfsOptions {
  /** File to create; must not exist. */
  readonly path: string;
  readonly root: Attributes;
  /** Newest modification time in the archive, in seconds since 1970. */
  readonly newestMtime: number;
  readonly signal: AbortSignal;
}

/** See "Compression" in the README. */
const compression = ["-comp", "lz4", "-b", "128K"];

/** Writes the archive as squashfs; the result is reproducible. Throws `Error` with the output of mksquashfs. */
export async function writeSquashfs(
  tar: AsyncIterable<Uint8Array>,
  options: WriteSquashfsOptions,
): Promise<void> {
  const child = spawn("mksquashfs", squashfsArguments(options), {
    // The fourth descriptor is this process's stderr, so that a process that waits for its end also waits for mksquashfs.
    stdio: ["pipe", "ignore", "pipe", 2],
    env: environment(options),
    signal: options.signal,
    killSignal: "SIGKILL",
  });
  const { stdin, stderr } = child;
  if (stdin === null || stderr === null) throw new Error("mksquashfs was started without its pipes");
  // An aborted child emits both this event and its exit; only the exit is awaited.
  let failure: unknown;
  child.on("error", (error) => {
    failure = error;
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  let complaints = "";
  stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(0, 4096);
  });
  const fed = await pipeline(Readable.from(tar), stdin).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  // The input ended early, which mksquashfs cannot detect, so its output is not the image.
  if (fed !== undefined) child.kill("SIGKILL");
  await closed;
  options.signal.throwIfAborted();
  if (fed !== undefined && !isBrokenPipe(fed.error)) throw fed.error;
  if (child.exitCode !== 0)
    throw new Error(
      `mksquashfs could not write the image: ${complaints.trim() || `exit ${child.exitCode ?? child.signalCode}`}`,
      {
        cause: failure ?? fed?.error,
      },
    );
}

function squashfsArguments({ path, root }: WriteSquashfsOptions): string[] {
  return [
    ...["-", path, "-tar", ...compression],
    ...["-root-mode", root.mode.toString(8), "-root-uid", String(root.uid), "-root-gid", String(root.gid)],
    ...["-reproducible", "-mem", "256M", "-no-progress", "-quiet", "-exit-on-error"],
  ];
}

/**
 * mksquashfs always gives the root directory the current time. SOURCE_DATE_EPOCH caps every time. Set to the newest time in the image,
 * it changes no other time and makes the result reproducible.
 */
function environment({ newestMtime }: WriteSquashfsOptions): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    LC_ALL: "C",
    SOURCE_DATE_EPOCH: String(newestMtime),
  };
}

function isBrokenPipe(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "EPIPE" || error.code === "ERR_STREAM_PREMATURE_CLOSE")
  );
}
