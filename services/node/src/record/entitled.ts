/** What the containers of a sandbox are entitled to, from its record alone. Pure. */
import { type ContainerDemand, containerDemand, type VmSize, wantedSize } from "@paddock/domain";
import type { ContainerRecord, SandboxRecord } from "./sandbox-record.ts";

/** Those that count: what has stopped is entitled to nothing until it is started again. */
export const entitled = ({ containers }: Pick<SandboxRecord, "containers">): readonly ContainerRecord[] =>
  containers.filter(({ phase }) => phase.kind !== "stopped");

export const demandsOf = (containers: readonly ContainerRecord[]): ContainerDemand[] =>
  containers.map(({ spec }) => containerDemand(spec));

/**
 * What a sandbox is promised of its host: room for all its containers, stopped ones too, as each may be started again. Containers
 * that were admitted fit; a record of which that is not true counts as what it may grow to.
 */
export function promisedSize(
  { size, containers }: Pick<SandboxRecord, "size" | "containers">,
  guestOverheadBytes: number,
): Pick<VmSize, "vcpus" | "memoryBytes"> {
  try {
    return wantedSize(demandsOf(containers), size, guestOverheadBytes);
  } catch {
    return { vcpus: size.maxVcpus, memoryBytes: size.maxMemoryBytes ?? size.memoryBytes };
  }
}
