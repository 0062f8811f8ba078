/** Resource usage of a cgroup, counted by the host's kernel. The guest cannot influence these figures. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupVersion } from "./control-file.ts";
import type { Controller } from "./hierarchy.ts";

/** A figure is absent when the host lacks the controller. */
export interface CgroupUsage {
  /** CPU time of all threads, in nanoseconds. A bigint, because a number is exact for only 104 CPU days. */
  readonly cpuNs?: bigint;
  /** CPU time in user mode and in the kernel. v1 samples them at clock ticks, so their sum may exceed `cpuNs`. */
  readonly cpuUserNs?: bigint;
  readonly cpuSystemNs?: bigint;
  /** Periods with a cap, periods in which the cap was reached, and the time that threads were throttled, in nanoseconds. */
  readonly periods?: bigint;
  readonly throttledPeriods?: bigint;
  readonly throttledNs?: bigint;
  /** Memory charged now, in bytes, including the page cache. */
  readonly memoryBytes?: number;
  /** The part of it that the kernel can reclaim, in bytes: page cache, and slabs where they are counted. */
  readonly memoryCacheBytes?: number;
  /** Highest value ever charged, in bytes. */
  readonly memoryPeakBytes?: number;
  /** Number of times the memory limit was hit. */
  readonly memoryMaxEvents?: number;
  /** Processes killed because the memory limit was hit. */
  readonly oomKills?: number;
  readonly pids?: number;
}

async function read(directory: string | undefined, file: string): Promise<string | undefined> {
  if (directory === undefined) return undefined;
  try {
    return (await readFile(join(directory, file), "utf8")).trim();
  } catch {
    // The kernel lacks this figure, or the cgroup is being removed: the figure is absent.
    return undefined;
  }
}

/** The number after `key` in a file of `key number` lines. */
export function keyedNumber(text: string | undefined, key: string): string | undefined {
  const line = text?.split("\n").find((candidate) => candidate.startsWith(`${key} `));
  const value = line?.slice(key.length + 1);
  return value !== undefined && /^\d+$/.test(value) ? value : undefined;
}

/** v1 has separate totals that include child cgroups, and does not count slabs. */
const RECLAIMABLE = {
  1: ["total_inactive_file", "total_active_file"],
  2: ["inactive_file", "active_file", "slab_reclaimable"],
} as const;

/**
 * Charged bytes that the kernel can reclaim without swap, from the text of memory.stat. Shared memory is page cache too, but to
 * reclaim it would need swap, so it does not count.
 */
export const reclaimableBytes = (version: CgroupVersion, stat: string): number =>
  RECLAIMABLE[version].reduce((sum, key) => sum + Number(keyedNumber(stat, key) ?? 0), 0);

type Parts = { [K in keyof CgroupUsage]: CgroupUsage[K] | undefined };

function defined(parts: Parts): CgroupUsage {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

function numeric(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

const big = (text: string | undefined, times = 1n): bigint | undefined =>
  text !== undefined && /^\d+$/.test(text) ? BigInt(text) * times : undefined;

/** Reads the usage from the directories of a cgroup. */
export async function readUsage(
  version: CgroupVersion,
  directories: ReadonlyMap<Controller, string>,
): Promise<CgroupUsage> {
  const parts = await (version === 1 ? readV1(directories) : readV2(directories));
  return defined({ ...parts, pids: numeric(await read(directories.get("pids"), "pids.current")) });
}

async function readV1(directories: ReadonlyMap<Controller, string>): Promise<Parts> {
  const [memory, cpuacct] = [directories.get("memory"), directories.get("cpuacct")];
  const stat = await read(directories.get("cpu"), "cpu.stat");
  const memoryStat = await read(memory, "memory.stat");
  return {
    cpuNs: big(await read(cpuacct, "cpuacct.usage")),
    cpuUserNs: big(await read(cpuacct, "cpuacct.usage_user")),
    cpuSystemNs: big(await read(cpuacct, "cpuacct.usage_sys")),
    periods: big(keyedNumber(stat, "nr_periods")),
    throttledPeriods: big(keyedNumber(stat, "nr_throttled")),
    throttledNs: big(keyedNumber(stat, "throttled_time")),
    memoryBytes: numeric(await read(memory, "memory.usage_in_bytes")),
    memoryCacheBytes: memoryStat === undefined ? undefined : reclaimableBytes(1, memoryStat),
    memoryPeakBytes: numeric(await read(memory, "memory.max_usage_in_bytes")),
    memoryMaxEvents: numeric(await read(memory, "memory.failcnt")),
    oomKills: numeric(keyedNumber(await read(memory, "memory.oom_control"), "oom_kill")),
  };
}

async function readV2(directories: ReadonlyMap<Controller, string>): Promise<Parts> {
  const memory = directories.get("memory");
  const stat = await read(directories.get("cpu"), "cpu.stat");
  const events = await read(memory, "memory.events");
  const memoryStat = await read(memory, "memory.stat");
  return {
    cpuNs: big(keyedNumber(stat, "usage_usec"), 1000n),
    cpuUserNs: big(keyedNumber(stat, "user_usec"), 1000n),
    cpuSystemNs: big(keyedNumber(stat, "system_usec"), 1000n),
    periods: big(keyedNumber(stat, "nr_periods")),
    throttledPeriods: big(keyedNumber(stat, "nr_throttled")),
    throttledNs: big(keyedNumber(stat, "throttled_usec"), 1000n),
    memoryBytes: numeric(await read(memory, "memory.current")),
    memoryCacheBytes: memoryStat === undefined ? undefined : reclaimableBytes(2, memoryStat),
    memoryPeakBytes: numeric(await read(memory, "memory.peak")),
    memoryMaxEvents: numeric(keyedNumber(events, "max")),
    oomKills: numeric(keyedNumber(events, "oom_kill")),
  };
}
