import type { HostResource } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

/** The servers of the VM's host directories. They are started before the VM's process, which connects to them. */
export const hostShares: HostResource = {
  name: "host-shares",
  outlivesStop: false,
  async acquire({ host, vm, uid, shares = [] }) {
    if (shares.length === 0) return;
    // An interrupted boot may have left some.
    await host.shares.end(vm);
    const placement = host.cgroups.placement(vm.id);
    for (const share of shares) await host.shares.start(share, { vm, uid, placement });
  },
  async release({ host, vm, shares }) {
    // Undefined: a VM without a record may have some.
    if (shares === undefined || shares.length > 0) await host.shares.end(vm);
  },
  listStrays: async (host, owned) => straysOf(host, await host.shares.running(), owned),
};
