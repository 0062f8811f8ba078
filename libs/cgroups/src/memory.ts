/** Memory: a hard limit, and no swap that matters. */
import { CgroupError } from "./cgroup-error.ts";
import type { CgroupVersion, ControlFile } from "./control-file.ts";
import { reclaimableBytes } from "./usage.ts";

/**
 * v1 charges memsw first. Were both limits the same, the memory limit would never be the one that is hit, and Linux 6.18 counts
 * hits of that one alone. More than a huge page, as that is charged in one piece.
 */
const V1_SWAP_BYTES = 4 * 2 ** 20;

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
  const text = (bytes: number) => (limitBytes === null ? (version === 1 ? "-1" : "max") : String(bytes));
  const file = (name: string, bytes = limitBytes ?? 0) => ({
    controller: "memory" as const,
    file: name,
    value: text(bytes),
  });
  if (version === 1) {
    // Memory and swap together (memsw) are never less than memory. Raising, it must grow first, and lowering, shrink last; it
    // is there only on kernels that count swap. A limit that is refused because of what is in use leaves both as they were.
    return [
      { ...file("memory.limit_in_bytes"), provisional: true },
      { ...file("memory.memsw.limit_in_bytes", (limitBytes ?? 0) + V1_SWAP_BYTES), optional: true },
      file("memory.limit_in_bytes"),
    ];
  }
  const swap = limitBytes === null ? "max" : "0";
  return [{ ...file("memory.swap.max"), value: swap, optional: true }, file("memory.max")];
}

/** Of what is charged under v2, in bytes, what no reclaim gives back; from the texts of memory.current and memory.stat. */
export const unreclaimableBytes = (current: string, stat: string): number =>
  Math.max(0, Number(current) - reclaimableBytes(2, stat));
