/** Memory: a hard limit, and no swap. */
import { CgroupError } from "./cgroup-error.ts";
import type { CgroupVersion, ControlFile } from "./control-file.ts";

export interface MemoryLimits {
  /** Bytes; null: no limit. */
  readonly limitBytes: number | null;
}

/** Throws `invalid`. */
export function memoryFiles(version: CgroupVersion, limits: MemoryLimits): ControlFile[] {
  const { limitBytes } = limits;
  if (limitBytes !== null && !(Number.isSafeInteger(limitBytes) && limitBytes > 0)) {
    throw new CgroupError("invalid", `limitBytes is ${limitBytes}, expected a whole number above 0`);
  }
  if (version === 1) {
    const value = limitBytes === null ? "-1" : String(limitBytes);
    return [{ controller: "memory", file: "memory.limit_in_bytes", value }];
  }
  return [
    { controller: "memory", file: "memory.max", value: limitBytes === null ? "max" : String(limitBytes) },
  ];
}
