/** Parses and formats sizes, spans of time and ages. */
import { usageError } from "../cli-error.ts";

const SIZE_UNITS: readonly string[] = ["", "k", "m", "g", "t"];
const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i;

/** "256m", "1.5g", "1024", "64KiB": bytes, in powers of 1024. */
export function parseBytes(text: string): number {
  const match = SIZE.exec(text.trim());
  const power = SIZE_UNITS.indexOf(match?.[2]?.toLowerCase() ?? "?");
  const bytes = Math.round(Number(match?.[1]) * 1024 ** power);
  if (!match || power < 0 || !Number.isSafeInteger(bytes)) {
    throw usageError(
      `"${text}" is not a size`,
      'write a number with an optional k, m, g or t, such as "512m"',
    );
  }
  return bytes;
}

const SPAN_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** "500ms", "10s", "1h30m", "10" (seconds): milliseconds. */
export function parseSpan(text: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== trimmed) {
    throw usageError(`"${text}" is not a span of time`, 'write such as "500ms", "10s" or "1h30m"');
  }
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (SPAN_UNITS_MS[unit ?? ""] ?? 0), 0);
}

/** "64.0MiB". */
export function formatBytes(bytes: number | bigint): string {
  let value = Number(bytes);
  let power = 0;
  while (value >= 1024 && power < SIZE_UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  const unit = power === 0 ? "B" : `${(SIZE_UNITS[power] ?? "").toUpperCase()}iB`;
  return power === 0 ? `${value}${unit}` : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)}${unit}`;
}

/** "420 ms", "3.1 s", "2 min 5 s". */
export function formatSpan(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

const AGES: readonly [number, string][] = [
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** "3 minutes", "less than a second". */
export function formatAge(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const [size, name] = AGES.find(([unit]) => seconds >= unit) ?? [1, ""];
  if (name === "") return "less than a second";
  const count = Math.floor(seconds / size);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** "10m" (ago), "2026-01-31T12:00:00Z", "1769860800" (seconds since 1970): milliseconds since 1970. */
export function parseTime(text: string, nowMs: number): number {
  const timeMs = pointMs(text.trim()) ?? nowMs - parseSpan(text);
  if (Number.isNaN(timeMs))
    throw usageError(`"${text}" is not a time`, 'write such as "10m" (ago) or "2026-01-31T12:00:00Z"');
  return Math.max(0, timeMs);
}

/** Seconds since 1970 have nine digits or more; a smaller number is a span. */
function pointMs(text: string): number | undefined {
  if (/^\d{4}-/.test(text)) return Date.parse(text);
  return /^\d{9,11}(\.\d+)?$/.test(text) ? Number(text) * 1000 : undefined;
}
