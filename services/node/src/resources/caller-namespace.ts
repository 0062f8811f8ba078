import type { HostResource } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

/** Taps in a caller's network namespace, for a VM in the place of its programs. */
export const callerNamespace: HostResource = {
  name: "caller-namespace",
  outlivesStop: false,
  async acquire({ host, netns, vm, uid }, signal) {
    if (netns === undefined || netns === "none") return;
    await host.namespaces.connect(netns, netns.links, { uid, label: vm.id }, signal);
  },
  async release({ host: { namespaces }, netns, vm }, signal) {
    if (netns === "none") return;
    const owned = netns === undefined ? await namespaces.owners(signal) : [netns];
    for (const each of owned) await namespaces.disconnect(each, vm.id, { signal });
  },
  async listStrays(host, owned) {
    const labels = (await host.namespaces.owners()).map(({ label }) => label);
    return straysOf(host, labels, owned);
  },
};
