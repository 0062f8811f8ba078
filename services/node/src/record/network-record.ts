/** A sandbox's network in its record. The client's request at the creation is in the spec. */
import type { NetnsLink, NetnsNeighbour, NetnsRoute } from "@paddock/network";

/** An interface of the sandbox. Addresses and the name of the tap follow from the index. */
export type InterfaceRecord = {
  /** Unique in the sandbox. */
  readonly interfaceId: string;
  /** Name in the guest. */
  readonly name: string;
  /** Number on the node's network, unique among the node's sandboxes. */
  readonly index: number;
  /** Unique on the node. */
  readonly mac: string;
  /** Absent for the first interface, which is never unplugged. */
  readonly added?: AddedInterface;
};

/** The record of an interface that was added to a running VM. */
type AddedInterface = {
  /** Root port of its card. */
  readonly port: number;
  /** Request that added it. */
  readonly requestId: string;
  /** In bytes; undefined means that of the node's network. */
  readonly mtu?: number | undefined;
};

/** A port of the host that is published for the sandbox. */
export type PublishedPort = {
  /** Empty means all addresses of the host. */
  readonly hostAddress: string;
  readonly protocol: "tcp" | "udp";
  /** In a record, the port that was chosen. */
  readonly hostPort: number;
  readonly guestPort: number;
};

export const ROUTE_SCOPES = ["global", "link", "host"] as const;

/** A route of the guest. Texts are canonical, and empty for unset values. */
export type RouteRecord = {
  readonly destination: string;
  readonly gateway: string;
  readonly interfaceId: string;
  readonly source: string;
  /** 1024 for an IPv6 route that was declared without one. */
  readonly metric: number;
  readonly scope: (typeof ROUTE_SCOPES)[number];
  readonly onlink: boolean;
};

/** A link of a network namespace with its card in the VM. */
export type MirroredLink = NetnsLink & {
  /** Root port of its card. Absent for the first link, whose card is never unplugged. */
  readonly port?: number | undefined;
};

/** A caller's network namespace, in which the VM takes the place of other programs, as last read. */
export type NetnsRecord = {
  /** Name in /run/netns, and inode: the name may be given to another namespace. */
  readonly name: string;
  readonly inode: string;
  /** In the order of their cards. */
  readonly links: readonly MirroredLink[];
  readonly routes: readonly NetnsRoute[];
  readonly neighbours: readonly NetnsNeighbour[];
};

export type NetworkRecord = {
  /** The first interface first. */
  readonly interfaces: readonly InterfaceRecord[];
  readonly published: readonly PublishedPort[];
  /** Root ports of the VM for added interfaces; undefined means none. */
  readonly slots?: number | undefined;
  /** Undefined: the node's default routes, by the first interface. */
  readonly routes?: readonly RouteRecord[] | undefined;
  /** Undefined: the sandbox is not in a caller's namespace. */
  readonly netns?: NetnsRecord | undefined;
};

/** For a sandbox without a network. */
export const NO_NETWORK: NetworkRecord = { interfaces: [], published: [] };

/** The network without an interface, and without its routes. */
export const withoutInterface = (network: NetworkRecord, interfaceId: string): NetworkRecord => ({
  ...network,
  interfaces: network.interfaces.filter((each) => each.interfaceId !== interfaceId),
  ...(network.routes !== undefined && {
    routes: network.routes.filter((each) => each.interfaceId !== interfaceId),
  }),
});

/** The lowest root port without a card; undefined when each has one. */
export const freePort = (slots: number, interfaces: readonly InterfaceRecord[]): number | undefined =>
  freeSlot(
    slots,
    interfaces.map(({ added }) => added?.port),
  );

/** The lowest of the slots that is not among the taken ones. */
export function freeSlot(slots: number, taken: readonly (number | undefined)[]): number | undefined {
  const used = new Set(taken);
  return Array.from({ length: slots }, (_, port) => port).find((port) => !used.has(port));
}
