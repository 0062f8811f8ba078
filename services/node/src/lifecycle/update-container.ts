/**
 * Changes the limits of a container: on the host, in the VM and in the guest, all or none.
 *
 * A limit is raised from the outside in and lowered from the inside out: the VM grows, the guest applies the limits of its
 * containers, and only then does the VM shrink. Each undo puts the limits of the record in force again, and the record changes
 * last; so after a crash in between the former limits apply.
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
  /** With the new limits. An undo, also after a crash, uses only the record. */
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
    // The undo of "grow" covers this step.
    name: "settle",
    run: ({ node, entry, container }, signal) =>
      resize(node, entry, signal, { containers: counted(entry, container) }),
  },
];

/** The containers that count, one of them with its new limits. */
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

/** Puts the limits of the container in force, and records them. Needs the lock. */
export async function updateContainerEntry(update: ContainerUpdate, signal: AbortSignal): Promise<void> {
  const { containerId, spec } = update.container;
  await containerUpdate.run(update, {
    signal,
    note: { kind: "update-container", containerId },
    done: (record) => withContainer(record, containerId, (each) => ({ ...each, spec })),
  });
}

/**
 * Sends the guest the limits of all its containers, because the vCPUs of one container's CPU set depend on the sets of the
 * others.
 */
async function limitInGuest(
  entry: SandboxEntry,
  containers: readonly ContainerRecord[],
  signal: AbortSignal,
): Promise<void> {
  if (entry.vm === undefined) return;
  const vcpus = entry.applied?.size.vcpus ?? entry.record.size.vcpus;
  // A cpuset that has processes cannot be emptied again (the kernel refuses it with ENOSPC), so all CPUs are named, including
  // those plugged in later.
  const all = formatCpuList(Array.from({ length: entry.record.size.maxVcpus }, (_, vcpu) => vcpu));
  const client = await entry.agent.client({ signal, deadlineMs: TIMEOUT_MS });
  for (const container of containers) {
    const cpus = cpusetInGuest(container, containers, vcpus) || all;
    const resources = limitsInFull(container, cpus, entry.record.volumes);
    const { containerId } = container;
    await client.containers.updateContainer({ containerId, resources }, { signal, timeoutMs: TIMEOUT_MS });
  }
}
