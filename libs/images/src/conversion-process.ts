/**
 * Converts an archive in a separate process.
 *
 * Archives are untrusted, and reading one can take time and memory up to the limits. A separate process does not delay other calls of
 * the daemon, and contains failures: a crash or a lack of memory becomes an `ImageError`. It runs at a lower priority than the daemon
 * and ends with it. A thread would share the daemon's thread pool, and some out-of-memory errors in a thread end the whole process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ConversionReply, ConversionRequest } from "./conversion-main.ts";
import type { ConversionResult, ConvertArchive } from "./convert-archive.ts";
import { ImageError } from "./image-error.ts";

const main = fileURLToPath(new URL("./conversion-main.ts", import.meta.url));
const mebibyte = 1024 ** 2;
const maxComplaintBytes = 8192;

/** Like `convertArchive`. Also throws `failed` or `too_large` when the process ends without a result. */
export const convertInProcess: ConvertArchive = async (job, { signal, onProgress }) => {
  signal.throwIfAborted();
  const memoryMiB = Math.ceil(job.limits.maxConversionMemoryBytes / mebibyte);
  // In its own process group, so that mksquashfs ends with it.
  const child = spawn(process.execPath, [`--max-old-space-size=${memoryMiB}`, main], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" },
    detached: true,
  });
  const end = () => killGroup(child);
  signal.addEventListener("abort", end, { once: true });
  try {
    const { reply, complaints, failure } = await outcome(child, { job }, (progress) => {
      if (!signal.aborted) onProgress(progress);
    });
    signal.throwIfAborted();
    if (reply === undefined) throw ended(child, complaints, { memoryMiB, failure });
    return unwrapped(reply);
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
};

type Progress = Extract<ConversionReply, { kind: "progress" }>["progress"];

/** Sends the job to the child and waits until the child and its own children have ended. */
async function outcome(
  child: ChildProcess,
  request: ConversionRequest,
  onProgress: (progress: Progress) => void,
): Promise<{ reply: ConversionReply | undefined; complaints: string; failure: unknown }> {
  let reply: ConversionReply | undefined;
  let complaints = "";
  let failure: unknown;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-maxComplaintBytes);
  });
  child.on("error", (error) => {
    failure = error;
  });
  child.on("message", (message: ConversionReply) => {
    if (message.kind === "progress") onProgress(message.progress);
    else reply = message;
  });
  // "close" comes when stderr is closed, and mksquashfs has a copy of it.
  const closed = new Promise((resolve) => child.once("close", resolve));
  if (child.pid !== undefined)
    child.send(request, (error) => {
      failure ??= error ?? undefined;
    });
  await closed;
  return { reply, complaints, failure };
}

function unwrapped(reply: ConversionReply): ConversionResult {
  switch (reply.kind) {
    case "result":
      return reply.result;
    case "refusal":
      throw new ImageError(reply.error, reply.what, reply.hint, { cause: reply.cause });
    case "bug":
      throw new Error(reply.message, { cause: reply.stack });
    case "progress":
      throw new Error("progress is not the outcome of a conversion");
    default:
      return reply satisfies never;
  }
}

function ended(
  child: ChildProcess,
  complaints: string,
  { memoryMiB, failure }: { memoryMiB: number; failure: unknown },
): ImageError {
  const { exitCode, signalCode } = child;
  const cause = { cause: failure ?? complaints };
  if (complaints.includes("heap out of memory") || signalCode === "SIGKILL")
    return new ImageError(
      "too_large",
      `reading the image takes more than the ${memoryMiB} MiB of memory allowed`,
      "make the image smaller, or raise the node's image limits",
      cause,
    );
  return new ImageError(
    "failed",
    `the process that converts image archives ended without a result (${signalCode ?? `exit ${exitCode}`})`,
    "import the image again; the node's log has the output of the process",
    cause,
  );
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || (child.exitCode ?? child.signalCode) !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}
