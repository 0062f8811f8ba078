/** Which CPUs and memory nodes may be used. */
import { CgroupError } from "./cgroup-error.ts";
import type { ControlFile } from "./control-file.ts";

export interface CpusetLimits {
  /** Kernel list format, for example `0-3,8`; null means those of the cgroup above (v2 only). */
  readonly cpus?: string | null;
  readonly mems?: string;
}

function list(text: string, what: string): string {
  if (/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return text;
  throw new CgroupError("invalid", `${what} is "${text}", expected a list such as 0-3,8`);
}

/** v1 and v2 have the same files. Throws `invalid`. */
export function cpusetFiles(limits: CpusetLimits): ControlFile[] {
  const files: ControlFile[] = [];
  if (limits.cpus === null) files.push({ controller: "cpuset", file: "cpuset.cpus", value: "\n" });
  else if (limits.cpus !== undefined) {
    files.push({ controller: "cpuset", file: "cpuset.cpus", value: list(limits.cpus, "cpus") });
  }
  if (limits.mems !== undefined) {
    files.push({ controller: "cpuset", file: "cpuset.mems", value: list(limits.mems, "mems") });
  }
  return files;
}
