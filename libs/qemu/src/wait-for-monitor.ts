/**
 * Waits until QEMU's monitor answers.
 *
 * QEMU makes the socket itself, so its directory is watched (inotify) and every change is a reason to try. A
 * try can still come between bind and listen, for which there is no event; hence the slow second trigger.
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

/** A connection that closes at once is a QEMU about to end: its exit tells more than the closing does. */
function mayComeYet(error: unknown): boolean {
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

/** Throws `spawn-failed` with QEMU's own words if it ends first, `deadline` or `aborted` otherwise. */
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
      // The watcher runs already: a socket made between the try and the wait is not missed.
      const change = nextChange(watcher);
      try {
        const { signal } = options;
        return await Monitor.open({ path: options.path, timeoutMs: leftMs, ...(signal ? { signal } : {}) });
      } catch (error) {
        if (!mayComeYet(error)) throw error;
      }
      await Promise.race([change, qemu.exited]);
      if (ended !== undefined) {
        throw new QemuError(
          "spawn-failed",
          `QEMU ended (${describe(ended)}) at start: ${qemu.stderr() || "no output"}`,
        );
      }
    }
  } finally {
    watcher.close();
  }
}
