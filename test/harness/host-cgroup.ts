/**
 * The control groups of a sandbox, read from the host's kernel. Tests compare what Paddock reports with them.
 */
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { vmOf } from "./vm-of.ts";

/** The kernel's counts for a sandbox's vCPUs, in microseconds and periods. */
export type VcpuFigures = {
  readonly usageUs: number;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledUs: number;
};

/** Limits in the kernel. Undefined means no limit. */
export type KernelLimits = {
  readonly cpu: { readonly quotaUs: number; readonly periodUs: number } | undefined;
  /** cpu.shares in v1, cpu.weight in v2. */
  readonly shares: number;
  readonly cpus: string;
  readonly memoryBytes: number | undefined;
  readonly pids: number | undefined;
};

/** A file of a cgroup, and its value if no limit is set. */
export type ControlFile = { readonly path: string; readonly none: string };

export class HostCgroup {
  readonly #directories: readonly string[];

  /** The cgroups of the present VM of a sandbox, on the node with this state directory. Throws if there is none. */
  constructor(stateDirectory: string, sandboxId: string) {
    const node = createHash("sha256").update(stateDirectory).digest("hex").slice(0, 8);
    const name = `${node}-${vmOf(stateDirectory, sandboxId).id}`;
    this.#directories = globSync(`/sys/fs/cgroup/**/paddock/${name}`);
    if (this.#directories.length === 0) throw new Error(`sandbox ${sandboxId} has no cgroup ${name}`);
  }

  get exists(): boolean {
    return this.#directories.some((path) => existsSync(path));
  }

  /** CPU time of the whole sandbox with its vCPUs, in microseconds. */
  usageUs(): number {
    return this.#usageUs("");
  }

  /** The counts of the vCPU threads. */
  vcpus(): VcpuFigures {
    const count = this.#counts("vcpu/cpu.stat");
    const v1Throttled = count("throttled_time");
    return {
      usageUs: this.#usageUs("vcpu/"),
      periods: count("nr_periods"),
      throttledPeriods: count("nr_throttled"),
      throttledUs: v1Throttled ? v1Throttled / 1000 : count("throttled_usec"),
    };
  }

  limits(): KernelLimits {
    const v1 = this.#find("vcpu/cpu.cfs_quota_us");
    const [quota, period] = v1
      ? [this.#text("vcpu/cpu.cfs_quota_us"), this.#text("vcpu/cpu.cfs_period_us")]
      : this.#text("vcpu/cpu.max").split(" ");
    const quotaUs = number(quota);
    return {
      cpu: quotaUs === undefined ? undefined : { quotaUs, periodUs: Number(period) },
      shares: Number(this.#text(v1 ? "cpu.shares" : "cpu.weight")),
      cpus: this.#find("vcpu/cpuset.cpus") ? this.#text("vcpu/cpuset.cpus") : "",
      memoryBytes: number(this.#text(v1 ? "memory.limit_in_bytes" : "memory.max")),
      pids: number(this.#text("pids.max")),
    };
  }

  /** The cap of the vCPUs. */
  capFile(): ControlFile {
    return this.#vcpuFile({ "cpu.cfs_quota_us": "-1", "cpu.max": "max" });
  }

  /** How much unused time of a period the vCPUs may use later. */
  burstFile(): ControlFile {
    return this.#vcpuFile({ "cpu.cfs_burst_us": "0", "cpu.max.burst": "0" });
  }

  /** The first of these files that the vCPUs' cgroup has. */
  #vcpuFile(files: Readonly<Record<string, string>>): ControlFile {
    for (const [name, none] of Object.entries(files)) {
      const path = this.#find(`vcpu/${name}`);
      if (path !== undefined) return { path, none };
    }
    throw new Error(
      `no ${Object.keys(files).join(" or ")} in ${this.#directories.join(", ") || "any cgroup"}`,
    );
  }

  #usageUs(directory: "" | "vcpu/"): number {
    const v1 = this.#find(`${directory}cpuacct.usage`);
    return v1 ? Number(readFileSync(v1, "utf8")) / 1000 : this.#counts(`${directory}cpu.stat`)("usage_usec");
  }

  #counts(file: string): (key: string) => number {
    const stat = this.#text(file);
    return (key) => Number(new RegExp(`^${key} (\\d+)$`, "m").exec(stat)?.[1] ?? 0);
  }

  #find(file: string): string | undefined {
    return this.#directories.map((path) => join(path, file)).find((path) => existsSync(path));
  }

  #text(file: string): string {
    const path = this.#find(file);
    if (path === undefined) throw new Error(`no ${file} in ${this.#directories.join(", ") || "any cgroup"}`);
    return readFileSync(path, "utf8").trim();
  }
}

/** Undefined for "max" and -1. */
const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
