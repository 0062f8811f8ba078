/** Memory: a hard limit, with next to no swap. */
import { CgroupError } from "./cgroup-error.ts";
import type { CgroupVersion, ControlFile } from "./control-file.ts";
import { reclaimableBytes } from "./usage.ts";

/**
 * Difference between the memsw limit and the memory limit. v1 charges memsw first. With equal limits the memory limit is never hit,
 * and Linux 6.18 counts only hits of that one. It exceeds a huge page, which is charged at once.
 */
const V1_SWAP_BYTES = 4 * 2 ** 20;

export interface MemoryLimits {
  /** In bytes; null means no limit. */
  readonly limitBytes: number | null;
}

/** Throws `invalid`. */
export function memoryFiles(version: CgroupVersion, limits: MemoryLimits): ControlFile[] {
  const { limitBytes } = limits;
  if (limitBytes !== null && !(Number.isSafeInteger(limitBytes) && limitBytes > 0)) {
    throw new CgroupError("invalid", `limitBytes is ${limitBytes}, expected a whole number above 0`);
  }
  const text = (bytes: number) => (limitBytes === null ? (version === 1 ? "-1" : "max") : String(bytes));
  const file = (name: string, bytes = limitBytes ?? 0) => ({
    controller: "memory" as const,
    file: name,
    value: text(bytes),
  });
  if (version === 1) {
    // The memsw limit (memory and swap) is never below the memory limit: it must rise first and fall last. It exists only on
    // kernels that count swap. A limit refused because of current use leaves both unchanged.
    return [
      { ...file("memory.limit_in_bytes"), provisional: true },
      { ...file("memory.memsw.limit_in_bytes", (limitBytes ?? 0) + V1_SWAP_BYTES), optional: true },
      file("memory.limit_in_bytes"),
    ];
  }
  const swap = limitBytes === null ? "max" : "0";
  return [{ ...file("memory.swap.max"), value: swap, optional: true }, file("memory.max")];
}

/** Charged bytes that cannot be reclaimed under v2, from the texts of memory.current and memory.stat. */
export const unreclaimableBytes = (current: string, stat: string): number =>
  Math.max(0, Number(current) - reclaimableBytes(2, stat));
