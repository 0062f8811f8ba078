import { admit, wantedSize } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import type { ContainerRecord, SandboxRecord } from "../sandboxes/sandbox-record.ts";
import { demandsOf, promisedSize } from "./entitled.ts";

/**
 * Throws NO_CAPACITY when a sandbox with these containers instead of its own is more than its VM may grow to, or when the host has no
 * room for what it grows by. Touches nothing.
 */
export function requireGrowth(
  ctx: NodeContext,
  record: SandboxRecord,
  containers: readonly ContainerRecord[],
): void {
  const { guestOverheadBytes } = ctx.sizeDefaults;
  const after = wantedSize(demandsOf(containers), record.size, guestOverheadBytes);
  const before = promisedSize(record, guestOverheadBytes);
  const demand = {
    milliCpus: Math.max(0, after.vcpus - before.vcpus) * 1000,
    memoryBytes: Math.max(0, after.memoryBytes - before.memoryBytes),
    diskBytes: 0,
  };
  if (demand.milliCpus === 0 && demand.memoryBytes === 0) return;
  const { capacity, sandboxes } = ctx;
  admit(demand, { capacity, allocated: sandboxes.allocated(), freeDiskBytes: 0, diskFloorBytes: 0 });
}
