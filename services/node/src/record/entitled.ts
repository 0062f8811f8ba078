/** What the containers of a sandbox are entitled to, from its record alone. Pure. */
import { type ContainerDemand, containerDemand, type VmSize, wantedSize } from "@paddock/domain";
import type { ContainerRecord, SandboxRecord } from "./sandbox-record.ts";

/** The containers that count. A stopped container is entitled to nothing until it is started again. */
export const entitled = ({ containers }: Pick<SandboxRecord, "containers">): readonly ContainerRecord[] =>
  containers.filter(({ phase }) => phase.kind !== "stopped");

export const demandsOf = (containers: readonly ContainerRecord[]): ContainerDemand[] =>
  containers.map(({ spec }) => containerDemand(spec));

/**
 * The size that a host allocates to a sandbox: room for all its containers, stopped ones too, because each may be started
 * again. Admitted containers fit; a record whose containers do not fit counts with its maximum size.
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
