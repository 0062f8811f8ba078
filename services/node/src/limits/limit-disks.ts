import { containerDisks } from "../record/container-disks.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { mountedVolumes, volumeOf, volumePlace } from "../record/sandbox-volumes.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { ratesOf } from "../wire/guest-limits.ts";

/** Whether the creation of the container can change the rates of a disk: its own, or a volume that it shares. */
export const mayLimitDisks = ({ spec }: ContainerRecord): boolean =>
  spec.resources?.io !== undefined || mountedVolumes(spec).length > 0;

/** The second line of defence behind the guest's own limits: QEMU enforces them regardless of the guest. */
export async function limitDisks(
  entry: SandboxEntry,
  container: ContainerRecord,
  signal: AbortSignal,
): Promise<void> {
  const machine = entry.vm?.machine;
  const { lower, upper } = containerDisks(container);
  const rates = asNumbers(ratesOf(container));
  for (const disk of [lower, upper]) if (disk !== undefined) await machine?.limitDisk(disk.id, rates, signal);
  const containers = [
    ...entry.record.containers.filter(({ containerId }) => containerId !== container.containerId),
    container,
  ];
  for (const { volume } of mountedVolumes(container.spec)) {
    const attached = volumeOf(entry.record, volume);
    const users = containers.filter(({ spec }) => mountedVolumes(spec).some((use) => use.volume === volume));
    if (attached !== undefined) await machine?.limitDisk(volumePlace(attached).id, together(users), signal);
  }
}

type Rates = ReturnType<typeof ratesOf>;

const asNumbers = (rates: Rates) =>
  Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, Number(rate)]));

/** The rates of a disk that containers share: the sum of theirs, and no limit if one of them has none. */
function together(users: readonly ContainerRecord[]) {
  const all = users.map((user) => Object.entries(asNumbers(ratesOf(user))));
  const names = new Set(all.flat().map(([name]) => name));
  return Object.fromEntries(
    [...names].map((name) => {
      const rates = all.map((each) => each.find(([known]) => known === name)?.[1] ?? 0);
      return [name, rates.includes(0) ? 0 : rates.reduce((sum, rate) => sum + rate, 0)];
    }),
  );
}
