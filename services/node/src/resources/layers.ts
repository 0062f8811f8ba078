import { layerPlace } from "../vm/vm-paths.ts";
import type { HostResource } from "./host-resource.ts";

/** A writable layer for each container of the sandbox. */
export const layers: HostResource = {
  name: "writable-layers",
  outlivesStop: true,
  async acquire({ host, vm, uid, layers: wanted }) {
    for (const { index, bytes } of wanted) await host.layers.create({ ...layerPlace(vm, index), bytes, uid });
  },
  async release() {
    // The layers are files in the VM's directory and are removed with it.
  },
  listStrays: async () => [],
};
