/** The network of a sandbox, as configured in its guest. Pure. */
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
import { interfacesInGuest } from "../record/sandbox-interfaces.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { declaredRoutes, guestRoutes } from "./guest-routes.ts";
import { dnsServers } from "./network-rules.ts";

/** The node's side of the network. */
export type NodeSide = {
  readonly network: NodeNetwork;
  readonly resolver: { readonly nameservers: readonly string[]; readonly searches: readonly string[] };
};

/** An interface in the guest, with its addresses. */
export type GuestCard = InterfaceRecord & { readonly at: GuestInterface };

/** The interfaces that the guest should have, the first one first. */
export const guestCards = (record: NetworkParts, network: NodeNetwork): readonly GuestCard[] =>
  interfacesInGuest(record).map((each) => ({
    ...each,
    at: guestInterface(network, each.index, parseMac(each.mac)),
  }));

type NetworkParts = Parameters<typeof interfacesInGuest>[0];

/**
 * Interfaces, routes and neighbours. A guest has each address without a subnet: everything else is behind the gateway, whose
 * MAC address is configured, so that the guest needs no ARP or neighbour discovery.
 */
export function guestNetwork(record: NetworkParts, { network }: NodeSide): agentpb.NetworkConfig {
  const cards = guestCards(record, network);
  return create(agentpb.NetworkConfigSchema, {
    interfaces: cards.map((each) => guestCard(each, network.mtu)),
    routes: guestRoutes(declaredRoutes(record.network, network), cards),
    neighbours: cards.flatMap(({ name }) =>
      gateways(network).map((gateway) => ({ ...gateway, interface: name })),
    ),
  });
}

const guestCard = (
  { name, mac, at, added }: GuestCard,
  mtu: number,
): MessageInitShape<typeof agentpb.InterfaceSchema> => ({
  permanentMac: mac,
  name,
  mac,
  mtu: added?.mtu ?? mtu,
  addresses: [at.v4, at.v6].filter((address) => address !== undefined).map(alone),
});

const alone = (address: Address): string => `${formatAddress(address)}/${address.family === 4 ? 32 : 128}`;

function gateways(network: NodeNetwork): readonly { address: string; mac: string }[] {
  const { mac, v4, v6 } = gatewayOf(network);
  return [v4, v6]
    .filter((address) => address !== undefined)
    .map((address) => ({ address: formatAddress(address), mac }));
}

/** Name resolution in the containers. A sandbox with a network and without name servers of its own uses those of its node. */
export function guestDns(
  { network: own, spec }: Pick<SandboxRecord, "network" | "spec">,
  side: NodeSide | undefined,
): { nameservers: string[]; searches: string[]; options: string[] } {
  const { nameservers = [], searches = [], options = [] } = spec.dns ?? {};
  if (side === undefined || (own.interfaces.length === 0 && own.netns === undefined))
    return { nameservers, searches, options };
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
