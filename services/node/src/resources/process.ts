import type { HostResource, ResourcePlan } from "./host-resource.ts";
import { straysOf } from "./strays.ts";

/** The VM's process and its sockets. A process that an interrupted boot left behind has the sockets, so it is ended first. */
export const process: HostResource = {
  name: "process",
  outlivesStop: false,
  async acquire(plan, signal) {
    const { host, vm, uid, machineRequest } = plan;
    await host.machines.killStrays(vm, signal);
    const placement = [...host.cgroups.placement(vm.id), ...namespaceOf(plan)];
    plan.machine = await host.machines.start({ ...machineRequest, paths: vm, uid, placement }, signal);
  },
  async release({ host, vm, machine }, signal) {
    await machine?.kill(signal);
    await host.machines.killStrays(vm, signal);
  },
  listStrays: async (host, owned) => straysOf(host, await host.machines.running(), owned),
};

/** QEMU opens its taps by name, so it runs in their namespace. */
const namespaceOf = ({ host, netns }: ResourcePlan): readonly string[] =>
  netns === undefined || netns === "none" ? [] : host.namespaces.prefix(netns);
