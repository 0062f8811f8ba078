/**
 * Waits until QEMU's monitor answers.
 *
 * The directory of the socket is watched (inotify), and each change triggers an attempt to connect. A socket between bind and listen
 * causes no event, so there is also a timer.
 */
import { watch } from "node:fs";
import { dirname } from "node:path";
import { Monitor } from "./monitor.ts";
import { QemuError } from "./qemu-error.ts";
import type { SpawnedQemu } from "./spawn-qemu.ts";

export interface WaitForMonitorOptions {
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

const RETRY_MS = 20;
const NOT_YET = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET"]);

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** A connection that closes at once means QEMU is about to exit, and its exit status says more than the error. */
function mayStillStart(error: unknown): boolean {
  return NOT_YET.has(errorCode(error)) || (error instanceof QemuError && error.kind === "qmp-closed");
}

function describe(exit: Awaited<SpawnedQemu["exited"]>): string {
  return exit.kind === "exited" ? `exit code ${exit.code}` : `signal ${exit.signal}`;
}

/** Resolves on the next change in the directory, or after RETRY_MS. */
function nextChange(watcher: ReturnType<typeof watch>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, RETRY_MS);
    function done(): void {
      clearTimeout(timer);
      watcher.off("change", done);
      resolve();
    }
    watcher.on("change", done);
  });
}

/** Throws `spawn-failed` with QEMU's output if it exits first, otherwise `deadline` or `aborted`. */
export async function waitForMonitor(qemu: SpawnedQemu, options: WaitForMonitorOptions): Promise<Monitor> {
  const startedAt = performance.now();
  const deadline = startedAt + options.timeoutMs;
  let ended: Awaited<SpawnedQemu["exited"]> | undefined;
  void qemu.exited.then((exit) => {
    ended = exit;
  });
  const watcher = watch(dirname(options.path));
  watcher.on("error", () => {});
  try {
    for (;;) {
      if (options.signal?.aborted === true)
        throw new QemuError("aborted", "waiting for the monitor: aborted");
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw new QemuError("deadline", `QEMU's monitor did not answer within ${options.timeoutMs} ms`);
      }
      // Created before the attempt, so that a change between the attempt and the wait is not missed.
      const change = nextChange(watcher);
      try {
        const { signal } = options;
        return await Monitor.open({ path: options.path, timeoutMs: leftMs, ...(signal ? { signal } : {}) });
      } catch (error) {
        if (!mayStillStart(error)) throw error;
      }
      await Promise.race([change, qemu.exited]);
      if (ended !== undefined) {
        throw new QemuError(
          "spawn-failed",
          `QEMU ended (${describe(ended)}) during start: ${qemu.stderr() || "no output"}`,
        );
      }
    }
  } finally {
    watcher.close();
  }
}
