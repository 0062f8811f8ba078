/** What a record keeps of a sandbox's network. What the client asked for is in the spec. */

/** An interface of the sandbox. Addresses and the name of the tap follow from the index. */
export type InterfaceRecord = {
  /** Unique in the sandbox. */
  readonly interfaceId: string;
  /** Name in the guest. */
  readonly name: string;
  /** Number on the node's network; no two sandboxes of the node have one. */
  readonly index: number;
  readonly mac: string;
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

export type NetworkRecord = {
  readonly interfaces: readonly InterfaceRecord[];
  readonly published: readonly PublishedPort[];
};

/** Of a sandbox without a network. */
export const NO_NETWORK: NetworkRecord = { interfaces: [], published: [] };
