import { type Amount, type ContainerDemand, MIB, vmSize } from "@paddock/domain";
import type { ContainerSpec, SandboxSpec } from "@paddock/protocol";

/** A node's own defaults and limits may differ; its admission decides. */
const ASSUMED = {
  vcpus: 1,
  maxVcpus: Number.POSITIVE_INFINITY,
  vcpuLimit: Number.POSITIVE_INFINITY,
  memoryBytes: 256 * MIB,
  maxMemoryBytes: Number.POSITIVE_INFINITY,
  guestOverheadBytes: 64 * MIB,
};

/**
 * What a sandbox will about need of its node as it boots, for the choice of one; what it may grow to is not set aside. Throws
 * `PaddockError` NO_CAPACITY when its containers need more than the spec lets its VM have: no node can do that; and INVALID_FIELD when
 * the spec's maximum is below what it boots with.
 */
export function sandboxDemand(spec: SandboxSpec | undefined): Amount {
  const size = vmSize(
    {
      vcpus: spec?.resources?.vcpus ?? 0,
      maxVcpus: spec?.resources?.maxVcpus ?? 0,
      memoryBytes: Number(spec?.resources?.memoryBytes ?? 0n),
      maxMemoryBytes: Number(spec?.resources?.maxMemoryBytes ?? 0n),
      containers: (spec?.containers ?? []).map(containerDemand),
    },
    ASSUMED,
  );
  return { milliCpus: size.vcpus * 1000, memoryBytes: size.memoryBytes, diskBytes: 0 };
}

function containerDemand({ resources }: ContainerSpec): ContainerDemand {
  const { cpuQuotaUs, cpuPeriodUs, memoryBytes, hugepages = [] } = resources ?? {};
  return {
    cpuQuotaUs: numberOf(cpuQuotaUs),
    cpuPeriodUs: numberOf(cpuPeriodUs),
    memoryBytes: numberOf(memoryBytes),
    hugepageBytes: hugepages.reduce((sum, { limitBytes }) => sum + Math.max(0, Number(limitBytes)), 0),
  };
}

const numberOf = (value: bigint | undefined): number | undefined =>
  value === undefined ? undefined : Number(value);
