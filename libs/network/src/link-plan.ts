/**
 * The bridge and the taps, as lines for `ip -batch`, `bridge -batch` and `sysctl`.
 *
 * A port of the bridge is isolated, learns nothing and is flooded with nothing: a guest receives what is addressed to its own MAC
 * address. The tap itself speaks no ARP: frames to the group address of LLDP go past the bridge, to the tap. The host finds each guest by entries that it wrote itself (`neighbor`, `fdb`) and never asks guests, so their answers
 * cannot mislead it.
 */
import { type Address, formatAddress } from "./address.ts";
import { linkLocalOf } from "./mac.ts";
import { type GuestInterface, gatewayOf, type NodeNetwork } from "./node-network.ts";

/** A kernel setting, with slashes: names of interfaces may have dots. */
export type Sysctl = { readonly key: string; readonly value: string };

/** Packets that wait for a guest that does not read. */
const TAP_QUEUE_LENGTH = 1000;

/** The MAC address is set here alone: to set it again would remove all neighbour entries. */
export const bridgeAdded = (network: NodeNetwork): readonly string[] => [
  `link add ${network.bridge} address ${gatewayOf(network).mac} type bridge`,
];

/** Settings of the bridge. `label` says whose it is; see `HostReader.bridgeLabel`. Safe to repeat. */
export function bridgeLines(network: NodeNetwork, label: string): readonly string[] {
  const { bridge, mtu, v4, v6 } = network;
  const gateway = gatewayOf(network);
  return [
    `link set ${bridge} mtu ${mtu} addrgenmode none alias ${label}`,
    `link set ${bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0 nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0`,
    `address replace ${formatAddress(gateway.v4)}/${v4.prefix} dev ${bridge}`,
    ...(gateway.v6 === undefined || v6 === undefined
      ? []
      : [`address replace ${formatAddress(gateway.v6)}/${v6.prefix} dev ${bridge} nodad`]),
    `link set ${bridge} up`,
  ];
}

/** Kernel settings of the bridge: it is told nothing by guests, and 127.0.0.1 of the host can lead to a published port. */
export function bridgeSysctls({ bridge, v6 }: NodeNetwork): readonly Sysctl[] {
  const of = (family: "ipv4" | "ipv6", name: string, value: number): Sysctl => ({
    key: `net/${family}/conf/${bridge}/${name}`,
    value: `${value}`,
  });
  return [
    of("ipv4", "rp_filter", 1),
    of("ipv4", "arp_ignore", 1),
    of("ipv4", "accept_redirects", 0),
    of("ipv4", "send_redirects", 0),
    of("ipv4", "route_localnet", 1),
    ...(v6 === undefined
      ? [of("ipv6", "disable_ipv6", 1)]
      : [
          of("ipv6", "accept_ra", 0),
          of("ipv6", "autoconf", 0),
          of("ipv6", "accept_redirects", 0),
          of("ipv6", "dad_transmits", 0),
        ]),
  ];
}

export const bridgeRemoved = ({ bridge }: NodeNetwork): readonly string[] => [`link delete ${bridge}`];

export type TapOwner = {
  /** User of the process that opens the tap. */
  readonly uid: number;
  /** Kept with the link and read back by `listTaps`: at most 200 letters, digits, ".", "_", "-". */
  readonly label: string;
};

/** A tap with a guest's interface behind it, for `ip`. */
export function tapLines(network: NodeNetwork, guest: GuestInterface, owner: TapOwner): readonly string[] {
  const { bridge, mtu } = network;
  const { tap } = guest;
  return [
    `tuntap add dev ${tap} mode tap user ${owner.uid} group ${owner.uid} vnet_hdr`,
    `link set ${tap} mtu ${mtu} txqueuelen ${TAP_QUEUE_LENGTH} arp off addrgenmode none alias ${owner.label}`,
    `link set ${tap} master ${bridge}`,
    `link set ${tap} type bridge_slave isolated on learning off flood off mcast_flood off bcast_flood off neigh_suppress on mcast_router 0 guard on root_block on`,
    ...neighboursAdded(network, guest),
    `link set ${tap} up`,
  ];
}

/** The same, for `bridge`. After the tap is a port of the bridge. */
export const fdbLines = ({ tap, mac }: GuestInterface): readonly string[] => [
  `fdb replace ${mac} dev ${tap} master static`,
];

/** Takes a tap away. The bridge forgets the port with its MAC address. */
export const tapRemoved = ({ tap }: Pick<GuestInterface, "tap">): readonly string[] => [`link delete ${tap}`];

/** How the host finds the guest. Safe to repeat. */
export const neighboursAdded = ({ bridge }: NodeNetwork, guest: GuestInterface): readonly string[] =>
  neighbours(guest).map(
    (each) => `neighbor replace ${formatAddress(each)} lladdr ${guest.mac} dev ${bridge} nud permanent`,
  );

export const neighboursRemoved = ({ bridge }: NodeNetwork, guest: GuestInterface): readonly string[] =>
  neighbours(guest).map((each) => `neighbor delete ${formatAddress(each)} dev ${bridge}`);

const neighbours = ({ v4, v6, mac }: GuestInterface): readonly Address[] =>
  v6 === undefined ? [v4] : [v4, v6, linkLocalOf(mac)];
