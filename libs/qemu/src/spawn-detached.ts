/**
 * Starts a process that outlives the daemon: in its own session, without a parent-death signal, and without a pipe it could block
 * on. The caller records the returned identity and finds the process again by it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { identify, type ProcessIdentity } from "./process-identity.ts";
import { QemuError } from "./qemu-error.ts";

export type ProcessExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: NodeJS.Signals };

export interface DetachedProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process ends while this daemon is its parent. */
  readonly exited: Promise<ProcessExit>;
  /** The last few KiB of its stderr. It may contain strings that a guest controls. */
  stderr(): string;
}

export interface DetachedOptions {
  /** Default "/". */
  readonly cwd?: string;
  /** Descriptors that the process inherits as 3, 4, 5…; the caller closes its own copies. */
  readonly descriptors?: readonly number[];
}

const STDERR_BYTES = 8192;

/** Reads of stderr without a pause, and the pause before each further read. A guest may make a process write without end. */
const BURST_READS = 64;
const READ_PAUSE_MS = 20;

/** Keeps the end of stderr. Returns printable characters only, because the guest may control some of the text. */
function tailOf(child: ChildProcess): () => string {
  const { stderr } = child;
  let tail = Buffer.alloc(0);
  let reads = 0;
  stderr?.on("data", (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-STDERR_BYTES);
    if (++reads <= BURST_READS) return;
    stderr.pause();
    setTimeout(() => stderr.resume(), READ_PAUSE_MS).unref();
  });
  return () =>
    tail
      .toString("latin1")
      .replaceAll(/[^\n\t\x20-\x7e]/g, "")
      .trim();
}

function exitOf(code: number | null, signal: NodeJS.Signals | null): ProcessExit {
  return signal === null ? { kind: "exited", code: code ?? 0 } : { kind: "signalled", signal };
}

/** Only what the process needs, because the daemon's environment has credentials. */
const ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" };

/** Resolves when the process exists. Throws QemuError `spawn-failed`. The process must ignore SIGPIPE, see `stdio`. */
export async function spawnDetached(
  words: readonly string[],
  { cwd = "/", descriptors = [] }: DetachedOptions = {},
): Promise<DetachedProcess> {
  const [command = "", ...args] = words;
  const child = spawn(command, args, {
    detached: true,
    cwd,
    env: ENVIRONMENT,
    // stderr is a socket pair. A process that ignores SIGPIPE survives the daemon.
    stdio: ["ignore", "ignore", "pipe", ...descriptors],
  });
  const stderr = tailOf(child);
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve(exitOf(code, signal)));
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new QemuError("spawn-failed", `cannot start ${command}: ${cause.message}`, { cause })),
    );
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
  child.unref();
  if (child.stderr !== null && "unref" in child.stderr && typeof child.stderr.unref === "function") {
    child.stderr.unref();
  }
  const identity = identify(pid);
  if (identity === undefined) {
    throw new QemuError("spawn-failed", `${command} ended before it could be identified: ${stderr()}`);
  }
  return { identity, exited, stderr };
}
