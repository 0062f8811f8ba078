import type { HostResource } from "./host-resource.ts";

/**
 * The rules that let a sandbox and its peers talk to each other. At its start a daemon writes the rules of its records only, so
 * there are no strays.
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
