/** CPU time: relative shares and a hard cap. */
import { CgroupError } from "./cgroup-error.ts";
import type { CgroupVersion, ControlFile } from "./control-file.ts";

export interface CpuLimits {
  /** Relative weight in v1 units, 2 to 262144; 1024 is the kernel's default. */
  readonly shares?: number;
  /** CPU time per period, in microseconds; at least 1000; absent or null means no cap. */
  readonly quotaUs?: number | null;
  /** 1000 to 1000000 microseconds. Default 100000. */
  readonly periodUs?: number;
  /**
   * Unused time of earlier periods that one period may use in addition to its quota, in microseconds, at most the quota. Default 0.
   * The average stays at the quota. Kernels before 5.14 do not have it and enforce the quota in every period.
   */
  readonly burstUs?: number;
}

const SHARES = { min: 2, max: 262_144 } as const;
const WEIGHT = { min: 1, max: 10_000 } as const;

function whole(value: number, min: number, max: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new CgroupError("invalid", `${what} is ${value}, expected a whole number from ${min} to ${max}`);
}

/** Maps v1 shares to a v2 weight linearly over both ranges, as container runtimes do (OCI runtime spec). */
export function weightOfShares(shares: number): number {
  const span = (WEIGHT.max - WEIGHT.min) / (SHARES.max - SHARES.min);
  return Math.max(WEIGHT.min, Math.floor(WEIGHT.min + (shares - SHARES.min) * span));
}

/** The lowest shares that map to this weight. */
export function sharesOfWeight(weight: number): number {
  const span = (SHARES.max - SHARES.min) / (WEIGHT.max - WEIGHT.min);
  return Math.ceil(SHARES.min + (weight - WEIGHT.min) * span);
}

/** The files to write for these limits; absent fields are not changed. Throws `invalid`. */
export function cpuFiles(version: CgroupVersion, limits: CpuLimits): ControlFile[] {
  const files: ControlFile[] = [];
  if (limits.shares !== undefined) {
    const shares = whole(limits.shares, SHARES.min, SHARES.max, "shares");
    files.push(
      version === 1
        ? { controller: "cpu", file: "cpu.shares", value: String(shares) }
        : { controller: "cpu", file: "cpu.weight", value: String(weightOfShares(shares)) },
    );
  }
  if (limits.quotaUs === undefined) return files;
  const period = whole(limits.periodUs ?? 100_000, 1000, 1_000_000, "periodUs");
  const quota =
    limits.quotaUs === null ? undefined : whole(limits.quotaUs, 1000, Number.MAX_SAFE_INTEGER, "quotaUs");
  const burst = whole(limits.burstUs ?? 0, 0, quota ?? 0, "burstUs");
  if (version === 2) {
    return [
      ...files,
      // The kernel checks the burst against the quota at each write.
      { controller: "cpu", file: "cpu.max.burst", value: "0", optional: true },
      { controller: "cpu", file: "cpu.max", value: `${quota ?? "max"} ${period}` },
      ...burstFile("cpu.max.burst", burst),
    ];
  }
  return [
    ...files,
    // v1 checks quota, period and burst against each other at each write. Without a quota it accepts every period.
    { controller: "cpu", file: "cpu.cfs_burst_us", value: "0", optional: true },
    { controller: "cpu", file: "cpu.cfs_quota_us", value: "-1" },
    { controller: "cpu", file: "cpu.cfs_period_us", value: String(period) },
    ...(quota === undefined
      ? []
      : [{ controller: "cpu" as const, file: "cpu.cfs_quota_us", value: String(quota) }]),
    ...burstFile("cpu.cfs_burst_us", burst),
  ];
}

const burstFile = (file: string, burstUs: number): ControlFile[] =>
  burstUs === 0 ? [] : [{ controller: "cpu", file, value: String(burstUs), optional: true }];
