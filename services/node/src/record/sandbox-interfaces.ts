/** The interfaces of a sandbox while one of them is being added or removed. */
import type { InterfaceRecord } from "./network-record.ts";
import type { SandboxRecord } from "./sandbox-record.ts";

type Parts = Pick<SandboxRecord, "network"> & Partial<Pick<SandboxRecord, "operations">>;

/** The interfaces that may have resources on the host, including one that is being added or removed. */
export function interfacesOnHost({ network, operations = [] }: Parts): readonly InterfaceRecord[] {
  const known = new Set(network.interfaces.map(({ interfaceId }) => interfaceId));
  const noted = operations.flatMap((each) => (each.kind === "add-interface" ? [each.interface] : []));
  return [...network.interfaces, ...noted.filter(({ interfaceId }) => !known.has(interfaceId))];
}

/** The interfaces that the guest should have: all except one that is being removed. */
export function interfacesInGuest({ network, operations = [] }: Parts): readonly InterfaceRecord[] {
  const leaving = new Set(
    operations.flatMap((each) => (each.kind === "remove-interface" ? [each.interfaceId] : [])),
  );
  return network.interfaces.filter(({ interfaceId }) => !leaving.has(interfaceId));
}
