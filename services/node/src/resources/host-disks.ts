import type { HostResource } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

/** The device files of the sandbox's devices, and loop devices with their image files. */
export const hostDisks: HostResource = {
  name: "host-disks",
  outlivesStop: false,
  async acquire({ host, vm, uid, disks }) {
    for (const disk of disks) await host.disks.acquire(vm, disk, uid);
  },
  release: ({ host, vm }) => host.disks.releaseAll(vm),
  listStrays: async (host, owned) => straysOf(host, await host.disks.owners(host.stateDir), owned),
};
