import { containerDisks } from "../record/container-disks.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { ratesOf } from "../wire/guest-limits.ts";

/** The second line of defence behind the guest's own limits: QEMU enforces them regardless of the guest. */
export async function limitDisks(
  entry: SandboxEntry,
  container: ContainerRecord,
  signal: AbortSignal,
): Promise<void> {
  const machine = entry.vm?.machine;
  const { lower, upper } = containerDisks(container);
  const asNumbers = Object.entries(ratesOf(container)).map(([name, rate]) => [name, Number(rate)]);
  for (const disk of [lower, upper])
    if (disk !== undefined) await machine?.limitDisk(disk.id, Object.fromEntries(asNumbers), signal);
}
