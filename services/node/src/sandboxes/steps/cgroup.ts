import { MAX_THREADS } from "../../limits/resize.ts";
import type { BootStep } from "./boot-context.ts";

/** The VM's cgroup, made before its process so that the process never runs outside. */
export const cgroup: BootStep = {
  name: "cgroup",
  async run({ node, entry: { paths, record } }) {
    const memoryBytes = record.size.memoryBytes + node.vmOverheadBytes;
    await node.cgroups.create(paths.name, { memoryBytes, pids: MAX_THREADS });
  },
  async undo({ node, entry: { paths } }, signal) {
    await node.cgroups.remove(paths.name, signal);
  },
};
