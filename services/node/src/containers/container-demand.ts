import type { ContainerDemand } from "@paddock/domain";
import type { ContainerSpec } from "@paddock/protocol";

/** What a container asks of its VM. */
export function containerDemand({ resources }: Pick<ContainerSpec, "resources">): ContainerDemand {
  const { cpuQuotaUs, cpuPeriodUs, memoryBytes } = resources ?? {};
  return {
    cpuQuotaUs: numberOf(cpuQuotaUs),
    cpuPeriodUs: numberOf(cpuPeriodUs),
    memoryBytes: numberOf(memoryBytes),
  };
}

const numberOf = (value: bigint | undefined): number | undefined =>
  value === undefined ? undefined : Number(value);
