import { limitDisks } from "../../limits/limit-disks.ts";
import { resize } from "../../limits/resize.ts";
import type { BootStep } from "./boot-context.ts";

/**
 * What the host holds the VM to. After the guest has answered: a cap of CPU time starves the start of a VM. All containers count, as all
 * are about to be ready. They go with the VM and its cgroup.
 */
export const limits: BootStep = {
  name: "limits",
  async run({ node, entry }, signal) {
    await resize(node, entry, signal, { containers: entry.record.containers });
    for (const container of entry.record.containers)
      if (container.spec.resources?.io !== undefined) await limitDisks(entry, container, signal);
  },
};
