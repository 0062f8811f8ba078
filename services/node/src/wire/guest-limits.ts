/** A container's limits for the cgroup v2 of its guest. Pure. */
import { create } from "@bufbuild/protobuf";
import { weightOfShares } from "@paddock/cgroups";
import { formatCpuList, guestCpuset, unionOfCpuLists } from "@paddock/domain";
import { agentpb, type ContainerResources } from "@paddock/protocol";
import { containerDisks } from "../record/container-disks.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { volumePlaces } from "../record/sandbox-volumes.ts";
import type { SandboxVolume } from "../record/volume-record.ts";

const NO_LIMIT = -1n;
const DEFAULT_PERIOD_US = 100_000n;
/** The default of cgroup v2, for a container without shares. */
const DEFAULT_WEIGHT = 100n;

type Limited = Pick<ContainerRecord, "index" | "spec" | "targets">;

/** Limits for the creation of a container: an unset limit is left at the kernel's default, which is no limit. */
export function limitsAtCreation(
  container: Limited,
  cpusetCpus: string,
  volumes: readonly SandboxVolume[] = [],
): agentpb.Resources {
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
    disks: resources?.io === undefined ? [] : diskLimits(container, volumes),
    ...(resources?.oomKillAll !== undefined && { oomKillAll: resources.oomKillAll }),
  });
}

/** All limits, explicitly: an unset one is no limit. Setting them replaces all earlier limits by those of the spec. */
export function limitsInFull(
  container: Limited,
  cpusetCpus: string,
  volumes: readonly SandboxVolume[] = [],
): agentpb.Resources {
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
    disks: diskLimits(container, volumes),
    oomKillAll: oomKillAll ?? false,
  });
}

const hugepagesOf = (resources: ContainerResources | undefined) =>
  (resources?.hugepages ?? []).map(({ pageBytes, limitBytes }) => ({ pageBytes, limitBytes }));

/** The same rates for each disk of the container and each volume that it mounts. */
function diskLimits(container: Limited, volumes: readonly SandboxVolume[]) {
  const { lower, upper } = containerDisks(container);
  const rates = ratesOf(container);
  const mounted = volumePlaces({ volumes, operations: [] }, container);
  return [lower, ...(upper === undefined ? [] : [upper]), ...mounted].map(({ target }) => ({
    target,
    ...rates,
  }));
}

/** Rates of each disk of a container for the agent and QEMU: 0 means no limit. */
export function ratesOf({ spec: { resources } }: Limited) {
  const { io } = resources ?? {};
  return {
    readBytesPerSecond: rateOf(io?.readBytesPerSecond),
    writeBytesPerSecond: rateOf(io?.writeBytesPerSecond),
    readOperationsPerSecond: rateOf(io?.readOperationsPerSecond),
    writeOperationsPerSecond: rateOf(io?.writeOperationsPerSecond),
  };
}

/** Records of an earlier daemon also have 0 for no limit. */
const rateOf = (rate: bigint | undefined): bigint => (rate === undefined || rate < 0n ? 0n : rate);

/**
 * The guest's CPUs for a container whose set names CPUs of the host, given the other containers that count; empty means all. If
 * one of them has no set, vCPUs do not map to particular CPUs, and every container may use all.
 */
export function cpusetInGuest(container: Limited, counted: readonly Limited[], vcpus: number): string {
  const union = unionOfCpuLists(counted.map(({ spec }) => spec.resources?.cpusetCpus));
  const all = formatCpuList(Array.from({ length: vcpus }, (_, vcpu) => vcpu));
  const cpus = guestCpuset(container.spec.resources?.cpusetCpus, union, vcpus);
  return cpus === all ? "" : cpus;
}

const weightOf = (shares: bigint): bigint => BigInt(weightOfShares(Number(shares)));
