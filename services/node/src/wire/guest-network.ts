/** The network of a sandbox, as its guest is told. Pure. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Address,
  formatAddress,
  type GuestInterface,
  gatewayOf,
  guestInterface,
  type NodeNetwork,
  parseMac,
} from "@paddock/network";
import { agentpb } from "@paddock/protocol";
import type { InterfaceRecord } from "../record/network-record.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { dnsServers } from "./network-rules.ts";

/** What the node knows of its network. */
export type NodeSide = {
  readonly network: NodeNetwork;
  readonly resolver: { readonly nameservers: readonly string[]; readonly searches: readonly string[] };
};

/**
 * Interfaces, routes and neighbours. A guest has each address alone, without a subnet: everything else is behind the gateway, whose
 * MAC address it is told, so that it asks nobody.
 */
export function guestNetwork(
  { network: own }: Pick<SandboxRecord, "network">,
  { network }: NodeSide,
): agentpb.NetworkConfig {
  const interfaces = own.interfaces.map((each) => ({
    ...each,
    at: guestInterface(network, each.index, parseMac(each.mac)),
  }));
  const [first] = interfaces;
  return create(agentpb.NetworkConfigSchema, {
    interfaces: interfaces.map((each) => guestCard(each, network.mtu)),
    // Of two default routes the kernel would take one by chance.
    routes: first === undefined ? [] : defaultRoutes(first, network),
    neighbours: interfaces.flatMap(({ name }) =>
      gateways(network).map((gateway) => ({ ...gateway, interface: name })),
    ),
  });
}

type Card = InterfaceRecord & { readonly at: GuestInterface };

const guestCard = (
  { name, mac, at }: Card,
  mtu: number,
): MessageInitShape<typeof agentpb.InterfaceSchema> => ({
  permanentMac: mac,
  name,
  mac,
  mtu,
  addresses: [at.v4, at.v6].filter((address) => address !== undefined).map(alone),
});

const alone = (address: Address): string => `${formatAddress(address)}/${address.family === 4 ? 32 : 128}`;

function defaultRoutes(
  { name, at }: Card,
  network: NodeNetwork,
): MessageInitShape<typeof agentpb.RouteSchema>[] {
  const { v4, v6 } = gatewayOf(network);
  const route = (destination: string, gateway: Address, source: Address) => ({
    destination,
    interface: name,
    gateway: formatAddress(gateway),
    source: formatAddress(source),
    onlink: true,
  });
  return [
    route("0.0.0.0/0", v4, at.v4),
    ...(v6 === undefined || at.v6 === undefined ? [] : [route("::/0", v6, at.v6)]),
  ];
}

function gateways(network: NodeNetwork): readonly { address: string; mac: string }[] {
  const { mac, v4, v6 } = gatewayOf(network);
  return [v4, v6]
    .filter((address) => address !== undefined)
    .map((address) => ({ address: formatAddress(address), mac }));
}

/** Name resolution in the containers. A sandbox with a network and no name servers of its own asks those of its node. */
export function guestDns(
  { network: own, spec }: Pick<SandboxRecord, "network" | "spec">,
  side: NodeSide | undefined,
): { nameservers: string[]; searches: string[]; options: string[] } {
  const { nameservers = [], searches = [], options = [] } = spec.dns ?? {};
  if (side === undefined || own.interfaces.length === 0) return { nameservers, searches, options };
  const { resolver } = side;
  const isOwn = nameservers.length > 0;
  return {
    nameservers: [...dnsServers(spec, resolver.nameservers)],
    searches: searches.length > 0 || isOwn ? searches : [...resolver.searches],
    options,
  };
}

/** Additional lines of /etc/hosts. */
export const guestHosts = ({
  network,
}: Pick<SandboxRecord["spec"], "network">): { name: string; address: string }[] =>
  (network?.extraHosts ?? []).map(({ name, address }) => ({ name, address }));
