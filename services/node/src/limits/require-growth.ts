import { admit, wantedSize } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { demandsOf, promisedSize } from "../record/entitled.ts";
import type { ContainerRecord, SandboxRecord } from "../record/sandbox-record.ts";

/**
 * Throws NO_CAPACITY when these containers, in place of the sandbox's own, need more than its VM may grow to, or when the host
 * has no room for the growth. Changes nothing. The room is reserved until the result is disposed of: by then it is in the
 * record.
 */
export function requireGrowth(
  ctx: NodeContext,
  record: SandboxRecord,
  containers: readonly ContainerRecord[],
): Disposable {
  const { guestOverheadBytes } = ctx.sizeDefaults;
  const after = wantedSize(demandsOf(containers), record.size, guestOverheadBytes);
  const before = promisedSize(record, guestOverheadBytes);
  const demand = {
    milliCpus: Math.max(0, after.vcpus - before.vcpus) * 1000,
    memoryBytes: Math.max(0, after.memoryBytes - before.memoryBytes),
    diskBytes: 0,
  };
  const { capacity, sandboxes } = ctx;
  if (demand.milliCpus > 0 || demand.memoryBytes > 0)
    admit(demand, { capacity, allocated: sandboxes.allocated() });
  return sandboxes.claimRoom(demand);
}
