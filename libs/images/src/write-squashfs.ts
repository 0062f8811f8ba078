/**
 * Turns a tar stream into a squashfs file with `mksquashfs -tar` (squashfs-tools >= 4.5; the
 * `sqfstar` of 4.5.1 misreads compressor options). The tool only ever sees an
 * archive written by this package, on its standard input; no name out of an image reaches its command line.
 */
import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Attributes } from "./merged-tree.ts";

export interface WriteSquashfsOptions {
  /** File to create; must not exist. */
  readonly path: string;
  readonly root: Attributes;
  /** No file in the archive is newer than this; seconds since 1970. */
  readonly newestMtime: number;
  readonly signal: AbortSignal;
}

/** Why these: see "Compression" in the README. */
const compression = ["-comp", "lz4", "-b", "128K"];

/** Writes the archive as squashfs; same archive, same bytes. Throws `Error` with the tool's own words. */
export async function writeSquashfs(
  tar: AsyncIterable<Uint8Array>,
  options: WriteSquashfsOptions,
): Promise<void> {
  const child = spawn("mksquashfs", squashfsArguments(options), {
    // The fourth is our own standard error: waiting for its end is waiting for this process, too.
    stdio: ["pipe", "ignore", "pipe", 2],
    env: environment(options),
    signal: options.signal,
    killSignal: "SIGKILL",
  });
  const { stdin, stderr } = child;
  if (stdin === null || stderr === null) throw new Error("mksquashfs was started without its pipes");
  // An aborted child reports twice, by this event and by its exit; the exit is what is waited for.
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
  // Its input ended early, but it cannot tell: what it has written by now is not the image.
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
 * The root directory of an archive gets the current time, whatever the options say; this variable caps every
 * time, and set to the newest one in the image it changes no other and makes the result reproducible.
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
