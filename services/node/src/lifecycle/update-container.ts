/**
 * Changes the limits of a container: on the host, in the VM and in the guest, all or none.
 *
 * A limit that grows is given from the outside in, one that shrinks is taken from the inside out: the VM grows, the guest takes the
 * limits of its containers, and only then does the VM shrink. Each undo makes what the record says be in force again, and the record
 * changes when all is done; so a crash in between ends in the former limits.
 */
import { formatCpuList } from "@paddock/domain";
import type { Step } from "@paddock/lifecycle";
import { limitDisks } from "../limits/limit-disks.ts";
import { resize } from "../limits/resize.ts";
import { entitled } from "../record/entitled.ts";
import { type ContainerRecord, containerOf, withContainer } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { cpusetInGuest, limitsInFull } from "../wire/guest-limits.ts";
import { operation, type Work } from "./operation.ts";

const TIMEOUT_MS = 15_000;

export type ContainerUpdate = Work & {
  /** With the limits it is to have. An undo, after a crash too, looks at the record alone. */
  readonly container: ContainerRecord;
};

const UPDATE_STEPS: readonly Step<ContainerUpdate>[] = [
  {
    name: "grow",
    run: ({ node, entry, container }, signal) =>
      resize(node, entry, signal, { containers: counted(entry, container), growOnly: true }),
    undo: ({ node, entry }, signal) => resize(node, entry, signal),
  },
  {
    name: "disks",
    run: ({ entry, container }, signal) => limitDisks(entry, container, signal),
    async undo({ entry, container: { containerId } }, signal) {
      for (const container of entry.record.containers)
        if (container.containerId === containerId) await limitDisks(entry, container, signal);
    },
  },
  {
    name: "guest",
    run: ({ entry, container }, signal) => limitInGuest(entry, counted(entry, container), signal),
    undo: ({ entry }, signal) => limitInGuest(entry, entitled(entry.record), signal),
  },
  {
    // What "grow" undoes is all of it.
    name: "settle",
    run: ({ node, entry, container }, signal) =>
      resize(node, entry, signal, { containers: counted(entry, container) }),
  },
];

/** The containers that count, with one as it is to be. */
const counted = ({ record }: SandboxEntry, container: ContainerRecord): readonly ContainerRecord[] =>
  entitled(withContainer(record, container.containerId, () => container));

export const containerUpdate = operation<ContainerUpdate>({
  name: "update-container",
  steps: () => UPDATE_STEPS,
  recovered: (work, note) => {
    if (note.kind !== "update-container") return undefined;
    const container = containerOf(work.entry.record, note.containerId);
    return container && { ...work, container };
  },
});

/** Brings the limits of the container into force, and records them. Needs the lock. */
export async function updateContainerEntry(update: ContainerUpdate, signal: AbortSignal): Promise<void> {
  const { containerId, spec } = update.container;
  await containerUpdate.run(update, {
    signal,
    note: { kind: "update-container", containerId },
    done: (record) => withContainer(record, containerId, (each) => ({ ...each, spec })),
  });
}

/**
 * Tells the guest the limits of its containers. Of all, as the CPUs that stand for the set of one depend on the sets of the others.
 */
async function limitInGuest(
  entry: SandboxEntry,
  containers: readonly ContainerRecord[],
  signal: AbortSignal,
): Promise<void> {
  if (entry.vm === undefined) return;
  const vcpus = entry.applied?.size.vcpus ?? entry.record.size.vcpus;
  // A set cannot be emptied again while processes are in it (cpuset refuses with ENOSPC), so all CPUs are named: those to come too.
  const all = formatCpuList(Array.from({ length: entry.record.size.maxVcpus }, (_, vcpu) => vcpu));
  const client = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  for (const container of containers) {
    const resources = limitsInFull(container, cpusetInGuest(container, containers, vcpus) || all);
    const { containerId } = container;
    await client.containers.updateContainer({ containerId, resources }, { signal, timeoutMs: TIMEOUT_MS });
  }
}
