/**
 * A process by more than its number.
 *
 * The kernel gives numbers again. A number with the time the process began and the boot it began in names one process for ever,
 * so that what was recorded can be signalled without hitting a stranger.
 */
import { readFileSync } from "node:fs";
import { sleep } from "../client/retry.ts";

const POLL_MS = 20;

export type ProcessIdentity = {
  readonly pid: number;
  /** Clock ticks between boot and start, field 22 of proc_pid_stat(5). */
  readonly startTime: string;
  readonly bootId: string;
};

export function identityOf(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold anything; what follows the last one is fields 3 and up.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const startTime = fields[19];
    const isZombie = fields[0] === "Z" || fields[0] === "X";
    if (startTime === undefined || isZombie) return undefined;
    return { pid, startTime, bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() };
  } catch {
    return undefined;
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  const now = identityOf(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/** Sends a signal to that very process. Whether it was there. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch {
    return false;
  }
}

/** Whether it ended within `timeoutMs`. */
export async function waitForEnd(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(identity)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** SIGTERM, and SIGKILL when it has not ended after `graceMs`. Answers how it went. */
export async function endProcess(
  identity: ProcessIdentity,
  graceMs: number,
): Promise<"gone" | "ended" | "killed"> {
  if (!signalProcess(identity, "SIGTERM")) return "gone";
  if (await waitForEnd(identity, graceMs)) return "ended";
  signalProcess(identity, "SIGKILL");
  await waitForEnd(identity, graceMs);
  return "killed";
}
