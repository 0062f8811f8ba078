import type { HostResource } from "./host-resource.ts";

/**
 * The ports of the host that lead to the sandbox. They are reserved before there is a record, because the request fails if one is
 * taken. They end with the process of the daemon, so none is ever astray.
 */
export const publishedPorts: HostResource = {
  name: "published-ports",
  outlivesStop: true,
  async acquire() {},
  async release({ host, vm }) {
    await host.ports.release(vm.id);
  },
  async listStrays() {
    return [];
  },
};
