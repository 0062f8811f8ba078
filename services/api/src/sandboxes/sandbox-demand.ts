import { type Amount, demandedCpus, demandedMemoryBytes, MIB } from "@paddock/domain";
import type { ContainerSpec, SandboxSpec } from "@paddock/protocol";

/** A node's own defaults may differ; its admission decides. */
const DEFAULT_VCPUS = 1;
const DEFAULT_MEMORY_BYTES = 256 * MIB;

/** What a sandbox will about need of its node, for the choice of one. */
export function sandboxDemand(spec: SandboxSpec | undefined): Amount {
  const containers = (spec?.containers ?? []).map(({ resources }: ContainerSpec) => ({
    cpuQuotaUs: numberOf(resources?.cpuQuotaUs),
    cpuPeriodUs: numberOf(resources?.cpuPeriodUs),
    memoryBytes: numberOf(resources?.memoryBytes),
  }));
  const vcpus = spec?.resources?.vcpus || Math.max(DEFAULT_VCPUS, Math.ceil(demandedCpus(containers)));
  const memoryBytes =
    Number(spec?.resources?.memoryBytes ?? 0n) ||
    Math.max(DEFAULT_MEMORY_BYTES, demandedMemoryBytes(containers));
  return { milliCpus: vcpus * 1000, memoryBytes, diskBytes: 0 };
}

const numberOf = (value: bigint | undefined): number | undefined =>
  value === undefined ? undefined : Number(value);
