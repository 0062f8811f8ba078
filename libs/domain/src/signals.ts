/**
 * Signals of x86-64 Linux by name (signal(7)). Clients may write "SIGTERM", "TERM", "term", "15", "SIGRTMIN+3".
 */
import { invalidField } from "./errors.ts";

const NAMES = [
  "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
  "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",
  "SYS",
] as const; // biome-ignore format: a table reads better in rows

const ALIASES: Readonly<Record<string, number>> = {
  IOT: 6,
  POLL: 29,
  CLD: 17,
  UNUSED: 31,
  RTMIN: 34,
  RTMAX: 64,
};

/** The number of a signal, 1 to 64, or undefined when `raw` names none. */
export function parseSignal(raw: string): number | undefined {
  if (/^[0-9]{1,2}$/.test(raw)) {
    const number = Number(raw);
    return number >= 1 && number <= 64 ? number : undefined;
  }
  const name = raw.toUpperCase().replace(/^SIG/, "");
  const index = (NAMES as readonly string[]).indexOf(name);
  if (index >= 0) return index + 1;
  const realtime = /^(RTMIN\+|RTMAX-)([0-9]{1,2})$/.exec(name);
  if (realtime) {
    const number = realtime[1] === "RTMIN+" ? 34 + Number(realtime[2]) : 64 - Number(realtime[2]);
    return number >= 34 && number <= 64 ? number : undefined;
  }
  return Object.hasOwn(ALIASES, name) ? ALIASES[name] : undefined;
}

/** The number of a signal. Throws INVALID_FIELD for `field` when `raw` names none. */
export function requireSignal(raw: string, field = "signal"): number {
  const number = parseSignal(raw);
  if (number !== undefined) return number;
  const description = 'must be a name such as "SIGTERM" or a number from 1 to 64';
  throw invalidField(field, description, `${JSON.stringify(raw)} is not a signal`);
}

/** The name of a signal number, such as "SIGTERM"; "SIG" plus the number when it has no name. */
export const signalName = (number: number): string => `SIG${NAMES[number - 1] ?? number}`;
