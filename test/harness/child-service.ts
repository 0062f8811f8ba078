/**
 * A service of Paddock as a child process: it gets its own environment, reports on a descriptor that it is ready, and is stopped
 * by the test.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** A start takes about 2 s of CPU time, of which a busy host provides a twentieth. */
const READY_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 30_000;

export type ChildService = {
  readonly process: ChildProcess;
  /** The service's message on its ready descriptor, parsed. */
  readonly ready: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Sends SIGTERM and returns the exit code. Sends SIGKILL after 30 s. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL, which simulates a crash. */
  kill(): Promise<void>;
};

export type StartOptions = {
  /** A module to run in place of the service's main module, with an IPC channel to this process. */
  readonly main?: string | undefined;
  /** Whether it reports its memory over an IPC channel; see `measured.ts`. */
  readonly measured?: boolean | undefined;
  /** A command that executes the rest of its arguments, such as `unshare`. */
  readonly prefix?: readonly string[] | undefined;
};

/** Starts `services/<name>/src/main.ts` and waits until it is ready. */
export async function startService(
  name: "api" | "node",
  env: Record<string, string>,
  logFile: string,
  { main, measured = false, prefix = [] }: StartOptions = {},
): Promise<ChildService> {
  const log = openSync(logFile, "a");
  const [command = "", ...args] = [
    ...prefix,
    process.execPath,
    ...(measured ? ["--import", join(repositoryRoot, "test/harness/measured.ts")] : []),
    main ?? join(repositoryRoot, "services", name, "src/main.ts"),
  ];
  const child = spawn(command, args, {
    // Not in the terminal's process group: after Ctrl-C the harness still needs it, to delete the sandboxes.
    detached: true,
    stdio: ["ignore", log, log, "pipe", ...(main !== undefined || measured ? ["ipc" as const] : [])],
    env: {
      PATH: process.env.PATH ?? "",
      TMPDIR: process.env.TMPDIR ?? "/tmp",
      ...(process.env.NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }),
      ...env,
      PADDOCK_READY_FD: "3",
    },
  });
  closeSync(log);
  const exited = once(child, "exit");
  const ready = await readReadyLine(child, name, logFile);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
      await exited;
      clearTimeout(timer);
    }
    return child.exitCode;
  };
  return {
    process: child,
    ready,
    logFile,
    stop: () => end("SIGTERM"),
    kill: async () => void (await end("SIGKILL")),
  };
}

async function readReadyLine(child: ChildProcess, name: string, logFile: string) {
  const pipe = child.stdio[3] as Readable;
  const timer = setTimeout(() => child.kill("SIGKILL"), READY_DEADLINE_MS);
  let text = "";
  for await (const chunk of pipe) text += chunk;
  clearTimeout(timer);
  if (!text.includes("\n")) {
    throw new Error(
      `${name} did not become ready; its log ends with:\n${readFileSync(logFile, "utf8").slice(-4000)}`,
    );
  }
  return JSON.parse(text) as Record<string, string>;
}
