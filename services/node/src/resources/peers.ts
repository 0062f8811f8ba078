import type { HostResource } from "./host-resource.ts";

/**
 * The rules that let a sandbox and its peers talk to each other. A daemon writes all rules at its start, those of its records alone, so
 * none is ever astray.
 */
export const peers: HostResource = {
  name: "peers",
  outlivesStop: false,
  async acquire({ host, pairs = [] }, signal) {
    if (pairs.length > 0) await host.network?.join(pairs, signal);
  },
  async release({ host, pairs = [] }, signal) {
    if (pairs.length > 0) await host.network?.part(pairs, signal);
  },
  async listStrays() {
    return [];
  },
};
