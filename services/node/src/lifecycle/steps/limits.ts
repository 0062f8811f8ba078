import { limitDisks, mayLimitDisks } from "../../limits/limit-disks.ts";
import { resize } from "../../limits/resize.ts";
import type { BootStep } from "./boot-context.ts";

/**
 * Applies the limits of the host. After the guest has answered, because a CPU cap would starve the start of a VM. All
 * containers count, because all of them are about to be ready. The limits end with the VM and its cgroup.
 */
export const limits: BootStep = {
  name: "limits",
  async run({ node, entry }, signal) {
    await resize(node, entry, signal, { containers: entry.record.containers });
    for (const container of entry.record.containers)
      if (mayLimitDisks(container)) await limitDisks(entry, container, signal);
  },
};
