/** The number of processes and threads. */
import { CgroupError } from "./cgroup-error.ts";
import type { ControlFile } from "./control-file.ts";

/** v1 and v2 have the same file. A `max` of null means no limit. Throws `invalid`. */
export function pidsFiles(limits: { readonly max: number | null }): ControlFile[] {
  if (limits.max !== null && !(Number.isSafeInteger(limits.max) && limits.max > 0)) {
    throw new CgroupError("invalid", `pids max is ${limits.max}, expected a whole number above 0`);
  }
  return [{ controller: "pids", file: "pids.max", value: limits.max === null ? "max" : String(limits.max) }];
}
