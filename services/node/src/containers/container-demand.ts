import type { ContainerDemand } from "@paddock/domain";
import type { ContainerSpec } from "@paddock/protocol";

/** What a container asks of its VM. */
export function containerDemand({ resources }: Pick<ContainerSpec, "resources">): ContainerDemand {
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, cpusetCpus, memoryBytes, hugepages = [] } = resources ?? {};
  return {
    cpuQuotaUs: numberOf(cpuQuotaUs),
    cpuPeriodUs: numberOf(cpuPeriodUs),
    cpuShares: numberOf(cpuShares),
    cpusetCpus,
    memoryBytes: numberOf(memoryBytes),
    hugepageBytes: hugepages.reduce((sum, { limitBytes }) => sum + Math.max(0, Number(limitBytes)), 0),
  };
}

const numberOf = (value: bigint | undefined): number | undefined =>
  value === undefined ? undefined : Number(value);
