/**
 * Identifies a process. Pids are reused, so a record that outlives a daemon has the pid, the start time of the process (clock ticks
 * since boot, field 22 of /proc/PID/stat, proc(5)) and the boot id.
 */
import { readdirSync, readFileSync } from "node:fs";
import { QemuError } from "./qemu-error.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, as decimal text, because they may exceed the safe range of a JSON number. */
  readonly startTicks: string;
  readonly bootId: string;
}

interface ProcStat {
  readonly state: string;
  readonly startTicks: string;
}

/** The command name may contain spaces and parentheses, so fields are counted from the last `)`. */
export function parseProcStat(line: string): ProcStat | undefined {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === undefined || startTicks === undefined || !/^\d+$/.test(startTicks)) return undefined;
  return { state, startTicks };
}

export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

function statOf(pid: number): ProcStat | undefined {
  try {
    return parseProcStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Identity of a live process, or undefined when no process has this pid. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks, bootId: readBootId() };
}

/** True while exactly this process runs. A zombie has ended. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = statOf(identity.pid);
  if (stat === undefined || stat.state === "Z" || stat.state === "X") return false;
  return stat.startTicks === identity.startTicks && identity.bootId === readBootId();
}

/** Kernel thread ids of exactly this process; none after it has ended. */
export function threadsOf(identity: ProcessIdentity): ReadonlySet<number> {
  try {
    const threads = new Set(readdirSync(`/proc/${identity.pid}/task`).map(Number));
    return isAlive(identity) ? threads : new Set();
  } catch {
    return new Set();
  }
}

/**
 * Signals exactly this process. Returns false when it has ended. The check and the kill run in one turn of the event loop, so a
 * child cannot be reaped in between. For an adopted process, the pid space would have to wrap within microseconds.
 */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ESRCH") return false;
    throw new QemuError("identity-mismatch", `cannot signal process ${identity.pid} with ${signal}`, {
      cause,
    });
  }
}
