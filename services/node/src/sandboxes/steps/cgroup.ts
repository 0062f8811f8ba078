import { VM_OVERHEAD_BYTES } from "../sandbox-registry.ts";
import type { BootStep } from "./boot-context.ts";

/** The VM's cgroup, made before its process so that the process never runs outside. */
export const cgroup: BootStep = {
  name: "cgroup",
  async run({ node, entry: { paths, record } }) {
    await node.cgroups.create(paths.name, { memoryBytes: record.size.memoryBytes + VM_OVERHEAD_BYTES });
  },
  async undo({ node, entry: { paths } }, signal) {
    await node.cgroups.remove(paths.name, signal);
  },
};
