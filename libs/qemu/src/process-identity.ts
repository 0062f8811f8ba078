/**
 * Which process, exactly: a pid alone is reused, so a record that outlives a daemon holds the pid, the time
 * the process started (clock ticks since boot, field 22 of /proc/PID/stat, proc(5)) and the id of that boot.
 */
import { readdirSync, readFileSync } from "node:fs";
import { QemuError } from "./qemu-error.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot, as decimal text: it may exceed what a JSON number holds safely. */
  readonly startTicks: string;
  readonly bootId: string;
}

interface ProcStat {
  readonly state: string;
  readonly startTicks: string;
}

/** The command name may hold spaces and parentheses, so fields count from the last `)`. */
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

/** Identity of a live process, or undefined when there is none with this pid. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks, bootId: readBootId() };
}

/** True while that very process runs; a zombie has ended. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = statOf(identity.pid);
  if (stat === undefined || stat.state === "Z" || stat.state === "X") return false;
  return stat.startTicks === identity.startTicks && identity.bootId === readBootId();
}

/** Kernel threads of that very process; none once it has ended. */
export function threadsOf(identity: ProcessIdentity): ReadonlySet<number> {
  try {
    const threads = new Set(readdirSync(`/proc/${identity.pid}/task`).map(Number));
    return isAlive(identity) ? threads : new Set();
  } catch {
    return new Set();
  }
}

/**
 * Signals that very process. Check and kill run without giving up the thread; a child of ours cannot be
 * reaped in between, and for an adopted process the pid space would have to wrap within microseconds.
 * Answers false when it has ended.
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
