import { admit, admitDisk, diskDemandBytes, wantedSize } from "@paddock/domain";
import type { NodeContext } from "../node-context.ts";
import { demandsOf, promisedSize } from "../record/entitled.ts";
import type { ContainerRecord, SandboxRecord } from "../record/sandbox-record.ts";

/**
 * Throws NO_CAPACITY when these containers, in place of the sandbox's own, need more than its VM may grow to, or when the host
 * has no room for the growth, and NO_DISK_SPACE when it has no disk for them. Changes nothing. The room is reserved until the result is disposed of: by then it is in the
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
    diskBytes: Math.max(0, diskBytesOf(containers) - diskBytesOf(record.containers)),
  };
  const { capacity, sandboxes } = ctx;
  const host = { capacity, allocated: sandboxes.allocated() };
  if (demand.milliCpus > 0 || demand.memoryBytes > 0) admit(demand, host);
  else admitDisk(demand.diskBytes, host);
  return sandboxes.claimRoom(demand);
}

const diskBytesOf = (containers: readonly ContainerRecord[]): number =>
  diskDemandBytes(containers.map(({ spec }) => spec));
