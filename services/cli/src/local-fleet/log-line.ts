/** Formats a line of a daemon's log, which is a JSON object, for a terminal. */

import { printable } from "../output/printable.ts";
import type { Colors } from "../output/progress.ts";

const LEVELS: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};
const HIDDEN = new Set(["level", "time", "msg", "pid", "hostname", "service", "name"]);

export function logLine(part: string, line: string, colors: Colors): string {
  const entry = parsed(line);
  if (!entry) return `${colors.dim(part.padEnd(4))} ${printable(line)}`;
  const level = LEVELS[Number(entry.level)] ?? String(entry.level ?? "");
  const time = timeOf(entry.time).toISOString().slice(11, 23);
  const rest = Object.entries(entry)
    .filter(([key]) => !HIDDEN.has(key))
    .map(([key, value]) => `${key}=${fieldText(value)}`)
    .join(" ");
  const paint =
    level === "error" || level === "fatal" ? colors.red : level === "warn" ? colors.yellow : colors.green;
  const text = printable(`${String(entry.msg ?? "")} ${rest}`.trimEnd());
  return `${colors.dim(time)} ${colors.dim(part.padEnd(4))} ${paint(level.padEnd(5))} ${text}`;
}

/** An error is shown by its message; the log file has the rest. */
function fieldText(value: unknown): string {
  if (typeof value === "string") return value;
  const isError = typeof value === "object" && value !== null && "message" in value && "stack" in value;
  return isError ? String(value.message) : JSON.stringify(value);
}

function timeOf(time: unknown): Date {
  const date = new Date(typeof time === "string" || typeof time === "number" ? time : Date.now());
  return Number.isNaN(date.getTime()) ? new Date() : date;
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const entry = JSON.parse(line);
    return typeof entry === "object" && entry !== null ? entry : undefined;
  } catch {
    return undefined;
  }
}
