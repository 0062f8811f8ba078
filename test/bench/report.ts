/**
 * The output of a benchmark.
 *
 * A target is a ratio or a difference against a floor measured in the same run, so that it has the same meaning on a fast host, a
 * slow one, and under software emulation. The output ends with one line per target: `target NAME VALUE LIMIT ok|missed`.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const results = join(dirname(fileURLToPath(import.meta.url)), "results");

/** Samples of one quantity, in one unit. */
export type Series = {
  readonly name: string;
  readonly unit: "ms" | "s" | "MiB/s" | "ops/s" | "CPUs" | "count";
  readonly samples: readonly number[];
};

/** A value that must not exceed its limit. The name ends with the unit, if there is one. */
export type Target = {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
};

/** The value below which `part` (0 to 1) of the samples are, by nearest rank. NaN if there are none. */
export function quantile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1))] ?? Number.NaN;
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** Prints table and targets, stores the raw samples, and sets the exit code: 1 if a target is missed. */
export function report(
  bench: string,
  conditions: Record<string, string>,
  series: readonly Series[],
  targets: readonly Target[],
) {
  mkdirSync(results, { recursive: true });
  writeFileSync(
    join(results, `${bench}.json`),
    `${JSON.stringify({ bench, conditions, series, targets }, null, 2)}\n`,
  );
  console.log(
    Object.entries(conditions)
      .map(([key, value]) => `${key}: ${value}`)
      .join(" · "),
  );
  console.log(row(["", "n", "min", "p50", "p90", "p99", "max", ""]));
  for (const { name, unit, samples } of series) {
    const figures = [0, 0.5, 0.9, 0.99, 1].map((part) => quantile(samples, part).toFixed(2));
    console.log(row([name, String(samples.length), ...figures, unit]));
  }
  for (const { name, value, limit } of targets) {
    const verdict = value <= limit ? "ok" : "missed";
    if (verdict === "missed") process.exitCode = 1;
    console.log(`target ${name} ${value.toFixed(3)} ${limit} ${verdict}`);
  }
}

const row = (cells: readonly string[]) =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(9))).join(" ");
