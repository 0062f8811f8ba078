import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isVolumeLink } from "../vm/vm-paths.ts";
import type { HostResource } from "./host-resource.ts";

/** Links to the volumes of the sandbox, in the directory of its VM. A VM that does not run has none. */
export const volumeLinks: HostResource = {
  name: "volume-links",
  outlivesStop: false,
  async acquire({ host, vm, uid, volumes }) {
    for (const volume of volumes) await host.volumes.link(volume, vm, uid);
  },
  async release({ vm }) {
    const names = await readdir(vm.dir).catch(() => []);
    for (const name of names.filter(isVolumeLink)) await rm(join(vm.dir, name), { force: true });
  },
  // A link without a record is in a VM's directory without a record, and is removed with it.
  listStrays: async () => [],
};
