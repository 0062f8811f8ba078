/** Ends a QEMU process, which need not be a child of this process: SIGTERM, then SIGKILL, each with a deadline. */
import { setTimeout as delay } from "node:timers/promises";
import { isAlive, type ProcessIdentity, signalProcess } from "./process-identity.ts";
import { QemuError } from "./qemu-error.ts";

/**
 * Polling interval. Linux notifies only the parent when a process ends, and Node has no pidfd, so an adopted process is checked
 * until it has ended or the deadline passes.
 */
const CHECK_INTERVAL_MS = 10;

/** Waits until the process has ended. Returns false at the deadline. */
export async function waitForEnd(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(identity)) {
    if (performance.now() >= deadline) return false;
    await delay(CHECK_INTERVAL_MS);
  }
  return true;
}

export interface EndOptions {
  /** Time for the process to exit after SIGTERM; 0 sends SIGKILL at once. Default 2000. */
  readonly graceMs?: number;
  /** Time for the process to exit after SIGKILL. Default 5000. */
  readonly killMs?: number;
}

/** Resolves once the process has ended; idempotent. Throws `deadline` if the process still exists after that. */
export async function endProcess(identity: ProcessIdentity, options: EndOptions = {}): Promise<void> {
  const { graceMs = 2000, killMs = 5000 } = options;
  if (graceMs > 0) {
    if (!signalProcess(identity, "SIGTERM")) return;
    if (await waitForEnd(identity, graceMs)) return;
  }
  if (!signalProcess(identity, "SIGKILL")) return;
  if (await waitForEnd(identity, killMs)) return;
  throw new QemuError("deadline", `process ${identity.pid} still exists ${killMs} ms after SIGKILL`);
}
