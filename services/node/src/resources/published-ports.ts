import type { HostResource } from "./host-resource.ts";

/**
 * The host ports published for the sandbox. They are reserved before the record exists, because the request fails if one is
 * taken. They end with the daemon's process, so there are no strays.
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
