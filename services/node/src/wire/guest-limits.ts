/** A container's limits as the cgroup v2 of its guest has them. Pure. */
import { create } from "@bufbuild/protobuf";
import { weightOfShares } from "@paddock/cgroups";
import { formatCpuList, guestCpuset, unionOfCpuLists } from "@paddock/domain";
import { agentpb, type ContainerResources } from "@paddock/protocol";
import { containerDisks } from "../record/container-disks.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";

const NO_LIMIT = -1n;
const DEFAULT_PERIOD_US = 100_000n;
/** cgroup v2's own, for a container that asks for no share. */
const DEFAULT_WEIGHT = 100n;

type Limited = Pick<ContainerRecord, "index" | "spec" | "targets">;

/** Limits for a container that is about to be made: what is not set is left to the kernel's defaults, which are no limit. */
export function limitsAtCreation(container: Limited, cpusetCpus: string): agentpb.Resources {
  const { resources } = container.spec;
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, memoryBytes, swapBytes, pids } = resources ?? {};
  return create(agentpb.ResourcesSchema, {
    ...(cpuQuotaUs !== undefined && { cpuQuotaUs }),
    ...(cpuPeriodUs !== undefined && { cpuPeriodUs }),
    ...(cpuShares !== undefined && { cpuWeight: weightOf(cpuShares) }),
    ...(cpusetCpus !== "" && { cpusetCpus }),
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(swapBytes !== undefined && { swapBytes }),
    ...(pids !== undefined && { pids }),
    hugepages: hugepagesOf(resources),
    disks: resources?.io === undefined ? [] : diskLimits(container),
    ...(resources?.oomKillAll !== undefined && { oomKillAll: resources.oomKillAll }),
  });
}

/** Every limit, said: what is not set is no limit. Setting these, whatever was set before, ends in the limits of the spec. */
export function limitsInFull(container: Limited, cpusetCpus: string): agentpb.Resources {
  const { resources } = container.spec;
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, memoryBytes, swapBytes, pids, oomKillAll } = resources ?? {};
  return create(agentpb.ResourcesSchema, {
    cpuQuotaUs: cpuQuotaUs ?? NO_LIMIT,
    cpuPeriodUs: cpuPeriodUs ?? DEFAULT_PERIOD_US,
    cpuWeight: cpuShares === undefined ? DEFAULT_WEIGHT : weightOf(cpuShares),
    cpusetCpus,
    memoryBytes: memoryBytes ?? NO_LIMIT,
    swapBytes: swapBytes ?? NO_LIMIT,
    pids: pids ?? NO_LIMIT,
    hugepages: hugepagesOf(resources),
    disks: diskLimits(container),
    oomKillAll: oomKillAll ?? false,
  });
}

const hugepagesOf = (resources: ContainerResources | undefined) =>
  (resources?.hugepages ?? []).map(({ pageBytes, limitBytes }) => ({ pageBytes, limitBytes }));

/** The same rates for each of its disks. */
function diskLimits(container: Limited) {
  const { lower, upper } = containerDisks(container);
  const rates = ratesOf(container);
  return [lower, ...(upper === undefined ? [] : [upper])].map(({ target }) => ({ target, ...rates }));
}

/** Rates of each disk of a container as the agent and QEMU take them: 0 means no limit. */
export function ratesOf({ spec: { resources } }: Limited) {
  const { io } = resources ?? {};
  return {
    readBytesPerSecond: rateOf(io?.readBytesPerSecond),
    writeBytesPerSecond: rateOf(io?.writeBytesPerSecond),
    readOperationsPerSecond: rateOf(io?.readOperationsPerSecond),
    writeOperationsPerSecond: rateOf(io?.writeOperationsPerSecond),
  };
}

/** Records of an earlier daemon have 0 for no limit too. */
const rateOf = (rate: bigint | undefined): bigint => (rate === undefined || rate < 0n ? 0n : rate);

/**
 * The guest's CPUs for a container whose set is in the host's numbers, beside the others that count; empty means all. Where one of
 * them has no set, vCPUs stand for no particular CPUs, and all are for everyone.
 */
export function cpusetInGuest(container: Limited, counted: readonly Limited[], vcpus: number): string {
  const union = unionOfCpuLists(counted.map(({ spec }) => spec.resources?.cpusetCpus));
  const all = formatCpuList(Array.from({ length: vcpus }, (_, vcpu) => vcpu));
  const cpus = guestCpuset(container.spec.resources?.cpusetCpus, union, vcpus);
  return cpus === all ? "" : cpus;
}

const weightOf = (shares: bigint): bigint => BigInt(weightOfShares(Number(shares)));
