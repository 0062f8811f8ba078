/** Limits, read back from the kernel. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CgroupError } from "./cgroup-error.ts";
import type { CgroupVersion } from "./control-file.ts";
import { sharesOfWeight } from "./cpu.ts";
import type { Controller } from "./hierarchy.ts";

type Directories = ReadonlyMap<Controller, string>;

/** Undefined means no limit, or that the controller is missing. */
export interface CgroupLimits {
  readonly cpu: { readonly quotaUs: number; readonly periodUs: number } | undefined;
  /** In v1 units, 2 to 262144. For a v2 weight, the lowest shares that map to it. */
  readonly shares: number | undefined;
  /** Kernel list format. */
  readonly cpus: string | undefined;
  readonly memoryBytes: number | undefined;
  readonly pids: number | undefined;
}

/** v1 reports "no limit" as the highest multiple of the page size in a signed 64-bit number. */
const V1_UNLIMITED = 2 ** 62;

/** Throws `refused` when a file of an available controller cannot be read. */
export async function readLimits(version: CgroupVersion, directories: Directories): Promise<CgroupLimits> {
  const read = (controller: Controller, file: string) => readControlFile(directories, controller, file);
  const memory = number(await read("memory", version === 1 ? "memory.limit_in_bytes" : "memory.max"));
  return {
    cpu: version === 1 ? await capV1(read) : capV2(await read("cpu", "cpu.max")),
    shares:
      version === 1
        ? number(await read("cpu", "cpu.shares"))
        : sharesOf(number(await read("cpu", "cpu.weight"))),
    cpus: (await read("cpuset", "cpuset.cpus")) || undefined,
    memoryBytes: memory !== undefined && memory >= V1_UNLIMITED ? undefined : memory,
    pids: number(await read("pids", "pids.max")),
  };
}

type Read = (controller: Controller, file: string) => Promise<string | undefined>;

async function capV1(read: Read): Promise<CgroupLimits["cpu"]> {
  const quotaUs = number(await read("cpu", "cpu.cfs_quota_us"));
  const periodUs = number(await read("cpu", "cpu.cfs_period_us"));
  return quotaUs === undefined || periodUs === undefined ? undefined : { quotaUs, periodUs };
}

function capV2(text: string | undefined): CgroupLimits["cpu"] {
  const [quota, period] = text?.split(" ") ?? [];
  const [quotaUs, periodUs] = [number(quota), number(period)];
  return quotaUs === undefined || periodUs === undefined ? undefined : { quotaUs, periodUs };
}

/** Undefined for `max` and -1. */
const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;

const sharesOf = (weight: number | undefined): number | undefined =>
  weight === undefined ? undefined : sharesOfWeight(weight);

async function readControlFile(
  directories: Directories,
  controller: Controller,
  file: string,
): Promise<string | undefined> {
  const directory = directories.get(controller);
  if (directory === undefined) return undefined;
  try {
    return (await readFile(join(directory, file), "utf8")).trim();
  } catch (cause) {
    throw new CgroupError("refused", `cannot read ${file} of ${directory}`, { cause });
  }
}
