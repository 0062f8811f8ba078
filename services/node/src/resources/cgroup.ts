import type { HostResource } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

/** A VM's process has its vCPU threads and a few more. A runaway process must not use up the host's pids. */
export const MAX_THREADS = 512;

/** The VM's cgroup. It is created before the process, so that the process never runs outside of it. */
export const cgroup: HostResource = {
  name: "cgroup",
  outlivesStop: false,
  acquire: ({ host, vm, memoryLimitBytes }) =>
    host.cgroups.create(vm.id, { memoryBytes: memoryLimitBytes, pids: MAX_THREADS }),
  release: ({ host, vm }, signal) => host.cgroups.remove(vm.id, signal),
  listStrays: async (host, owned) => straysOf(host, await host.cgroups.list(), owned),
};
