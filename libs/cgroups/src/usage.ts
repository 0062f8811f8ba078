/** What a cgroup has used, as the host's kernel counts it: the guest has no say in these figures. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupVersion } from "./control-file.ts";
import type { Controller } from "./hierarchy.ts";

/** A figure is absent where the host lacks the controller. */
export interface CgroupUsage {
  /** CPU time of all threads, in nanoseconds; bigint, because a number is exact for 104 CPU days only. */
  readonly cpuNs?: bigint;
  /** Charged now, in bytes, page cache included. */
  readonly memoryBytes?: number;
  /** Processes killed in it because its memory limit was hit. */
  readonly oomKills?: number;
  readonly pids?: number;
}

async function read(directory: string | undefined, file: string): Promise<string | undefined> {
  if (directory === undefined) return undefined;
  try {
    return (await readFile(join(directory, file), "utf8")).trim();
  } catch {
    // A kernel without this figure, or a cgroup that is just being removed: the figure is absent.
    return undefined;
  }
}

/** The number after `key` in a file of `key number` lines. */
export function keyedNumber(text: string | undefined, key: string): string | undefined {
  const line = text?.split("\n").find((candidate) => candidate.startsWith(`${key} `));
  const value = line?.slice(key.length + 1);
  return value !== undefined && /^\d+$/.test(value) ? value : undefined;
}

function defined(parts: { [K in keyof CgroupUsage]: CgroupUsage[K] | undefined }): CgroupUsage {
  return {
    ...(parts.cpuNs === undefined ? {} : { cpuNs: parts.cpuNs }),
    ...(parts.memoryBytes === undefined ? {} : { memoryBytes: parts.memoryBytes }),
    ...(parts.oomKills === undefined ? {} : { oomKills: parts.oomKills }),
    ...(parts.pids === undefined ? {} : { pids: parts.pids }),
  };
}

function numeric(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

export async function readUsage(
  version: CgroupVersion,
  directories: ReadonlyMap<Controller, string>,
): Promise<CgroupUsage> {
  const memory = directories.get("memory");
  const pids = numeric(await read(directories.get("pids"), "pids.current"));
  if (version === 1) {
    const cpu = await read(directories.get("cpuacct"), "cpuacct.usage");
    return defined({
      cpuNs: cpu !== undefined && /^\d+$/.test(cpu) ? BigInt(cpu) : undefined,
      memoryBytes: numeric(await read(memory, "memory.usage_in_bytes")),
      oomKills: numeric(keyedNumber(await read(memory, "memory.oom_control"), "oom_kill")),
      pids,
    });
  }
  const cpuUs = keyedNumber(await read(directories.get("cpu"), "cpu.stat"), "usage_usec");
  return defined({
    cpuNs: cpuUs === undefined ? undefined : BigInt(cpuUs) * 1000n,
    memoryBytes: numeric(await read(memory, "memory.current")),
    oomKills: numeric(keyedNumber(await read(memory, "memory.events"), "oom_kill")),
    pids,
  });
}
