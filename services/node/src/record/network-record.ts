/** What a record keeps of a sandbox's network. What the client asked for at the creation is in the spec. */

/** An interface of the sandbox. Addresses and the name of the tap follow from the index. */
export type InterfaceRecord = {
  /** Unique in the sandbox. */
  readonly interfaceId: string;
  /** Name in the guest. */
  readonly name: string;
  /** Number on the node's network; no two sandboxes of the node have one. */
  readonly index: number;
  /** Unique on the node. */
  readonly mac: string;
  /** Missing in the first interface, which is never unplugged. */
  readonly added?: AddedInterface;
};

/** What a record keeps of an interface that was added to a running VM. */
type AddedInterface = {
  /** Root port of its card. */
  readonly port: number;
  /** Request that added it. */
  readonly requestId: string;
  /** In bytes; undefined means that of the node's network. */
  readonly mtu?: number | undefined;
};

/** A port of the host that leads to the sandbox. */
export type PublishedPort = {
  /** Empty: all addresses of the host. */
  readonly hostAddress: string;
  readonly protocol: "tcp" | "udp";
  /** In a record the port that was chosen. */
  readonly hostPort: number;
  readonly guestPort: number;
};

export const ROUTE_SCOPES = ["global", "link", "host"] as const;

/** A route of the guest. Texts are canonical, and empty for what is not set. */
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

export type NetworkRecord = {
  /** The first interface first. */
  readonly interfaces: readonly InterfaceRecord[];
  readonly published: readonly PublishedPort[];
  /** Root ports of the VM, for interfaces that are added; undefined means none. */
  readonly slots?: number | undefined;
  /** Undefined: the node's default routes, by the first interface. */
  readonly routes?: readonly RouteRecord[] | undefined;
};

/** Of a sandbox without a network. */
export const NO_NETWORK: NetworkRecord = { interfaces: [], published: [] };

/** The network without an interface, and without the routes by it. */
export const withoutInterface = (network: NetworkRecord, interfaceId: string): NetworkRecord => ({
  ...network,
  interfaces: network.interfaces.filter((each) => each.interfaceId !== interfaceId),
  ...(network.routes !== undefined && {
    routes: network.routes.filter((each) => each.interfaceId !== interfaceId),
  }),
});

/** The lowest root port without a card; undefined when each has one. */
export function freePort(slots: number, interfaces: readonly InterfaceRecord[]): number | undefined {
  const taken = new Set(interfaces.map(({ added }) => added?.port));
  return Array.from({ length: slots }, (_, port) => port).find((port) => !taken.has(port));
}
