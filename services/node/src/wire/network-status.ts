/** The network of a sandbox, as shown by the public API. Pure. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type NetworkInterfaceSchema,
  NetworkProtocol,
  type NetworkStatus,
  NetworkStatusSchema,
} from "@paddock/protocol";
import type { NetnsRecord } from "../record/network-record.ts";
import { interfacesInGuest } from "../record/sandbox-interfaces.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { guestDns, guestNetwork, type NodeSide } from "./guest-network.ts";

/** The interfaces of a sandbox with their addresses, the first one first. */
export function shownInterfaces(
  record: Pick<SandboxRecord, "network" | "operations">,
  side: NodeSide,
): MessageInitShape<typeof NetworkInterfaceSchema>[] {
  const known = interfacesInGuest(record);
  return guestNetwork(record, side).interfaces.map(({ name, mac, mtu, addresses }, at) => ({
    interfaceId: known[at]?.interfaceId ?? "",
    name,
    macAddress: mac,
    mtu,
    addresses,
  }));
}

/** The links of a network namespace, by their names. */
export const netnsInterfaces = ({ links }: NetnsRecord): MessageInitShape<typeof NetworkInterfaceSchema>[] =>
  links.map(({ name, mac, mtu, addresses }) => ({
    ...{ interfaceId: name, name, macAddress: mac, mtu },
    addresses: [...addresses],
  }));

/** The network of a sandbox in a namespace of somebody else. */
export function netnsStatus(
  record: SandboxRecord,
  netns: NetnsRecord,
  side: NodeSide | undefined,
): NetworkStatus {
  return create(NetworkStatusSchema, {
    interfaces: netnsInterfaces(netns),
    dnsServers: guestDns(record, side).nameservers,
    namespace: netns.name,
  });
}

/** Interfaces with their addresses, published ports with their chosen numbers, and the policy and rates in force. */
export function networkStatus(record: SandboxRecord, side: NodeSide): NetworkStatus {
  const { network, spec } = record;
  return create(NetworkStatusSchema, {
    interfaces: shownInterfaces(record, side),
    publishedPorts: network.published.map(({ protocol, ...port }) => ({
      ...port,
      protocol: protocol === "udp" ? NetworkProtocol.UDP : NetworkProtocol.TCP,
    })),
    policy: spec.network?.policy ?? {},
    bandwidth: spec.network?.bandwidth ?? {},
    peers: spec.network?.peers ?? [],
    dnsServers: guestDns(record, side).nameservers,
  });
}
