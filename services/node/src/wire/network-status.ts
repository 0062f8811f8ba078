/** The network of a sandbox, as the public API shows it. Pure. */
import { create } from "@bufbuild/protobuf";
import { NetworkProtocol, type NetworkStatus, NetworkStatusSchema } from "@paddock/protocol";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { guestDns, guestNetwork, type NodeSide } from "./guest-network.ts";

/** Interfaces with their addresses, published ports with the numbers that were chosen, and what is in force. */
export function networkStatus(record: SandboxRecord, side: NodeSide): NetworkStatus {
  const { network, spec } = record;
  const { interfaces } = guestNetwork(record, side);
  return create(NetworkStatusSchema, {
    interfaces: interfaces.map(({ name, mac, mtu, addresses }, at) => ({
      interfaceId: network.interfaces[at]?.interfaceId ?? "",
      name,
      macAddress: mac,
      mtu,
      addresses,
    })),
    publishedPorts: network.published.map(({ protocol, ...port }) => ({
      ...port,
      protocol: protocol === "udp" ? NetworkProtocol.UDP : NetworkProtocol.TCP,
    })),
    policy: spec.network?.policy ?? {},
    bandwidth: spec.network?.bandwidth ?? {},
    dnsServers: guestDns(record, side).nameservers,
  });
}
