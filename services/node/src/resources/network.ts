import type { HostResource } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

/** The taps of the VM, and their rules. They are created before the process, which opens the taps. */
export const network: HostResource = {
  name: "network",
  outlivesStop: false,
  async acquire({ host, connections }, signal) {
    for (const connection of connections ?? []) await host.network?.connect(connection, signal);
  },
  async release({ host, vm, connections }, signal) {
    if (connections === undefined) await host.network?.drop(vm.id, signal);
    else for (const connection of connections) await host.network?.disconnect(connection, signal);
  },
  async listStrays(host, owned) {
    return straysOf(host, (await host.network?.owners()) ?? [], owned);
  },
};
