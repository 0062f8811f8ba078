/**
 * The network of a node, and the interfaces on it.
 *
 * A bridge has a tap for each interface of a guest. One number, the index, decides everything about an interface: its addresses
 * (the pool's first address plus the index), the name of its tap and, if nothing else is asked for, its MAC address. So a lease is a
 * number, and two interfaces with different numbers never collide.
 */
import { type Address, formatAddress, requireAddress } from "./address.ts";
import { type Cidr, contains, formatCidr, overlap, parseCidr, sizeOf } from "./cidr.ts";
import { type Mac, macOf } from "./mac.ts";
import { NetworkError } from "./network-error.ts";

export type NodeNetwork = {
  /** Name of the bridge and of the tables. */
  readonly bridge: string;
  readonly mtu: number;
  readonly v4: Cidr;
  /** Undefined: guests have no IPv6. */
  readonly v6: Cidr | undefined;
};

/** An interface of a guest, as the host knows it. */
export type GuestInterface = {
  readonly index: number;
  /** Name of the tap on the host. */
  readonly tap: string;
  readonly mac: Mac;
  readonly v4: Address;
  readonly v6: Address | undefined;
};

export type NetworkSettings = {
  readonly bridge: string;
  readonly mtu: number;
  /** Range of the guests' IPv4 addresses, between /16 and /29. */
  readonly v4: string;
  /** Range of the guests' IPv6 addresses, between /48 and /112. */
  readonly v6?: string | undefined;
  /** Ranges that are in use elsewhere, for instance those of the host's own interfaces. */
  readonly used?: readonly string[];
};

/** An interface's name has 15 characters, and a tap's name is the bridge's with a dash and five digits. */
const BRIDGE_NAME = /^[a-z][a-z0-9]{0,8}$/;

const GATEWAY_INDEX = 1;

/** The network of the settings. Throws `invalid` for a range that is too small, too large or in use. */
export function planNetwork({ bridge, mtu, v4, v6, used = [] }: NetworkSettings): NodeNetwork {
  if (!BRIDGE_NAME.test(bridge))
    throw new NetworkError(
      "invalid",
      `${JSON.stringify(bridge)} is not a name for a bridge: a letter, then at most 8 letters and digits, in lower case`,
    );
  if (!Number.isInteger(mtu) || mtu < 1280 || mtu > 65_521)
    throw new NetworkError("invalid", `an MTU is from 1280 to 65521 bytes, not ${mtu}`);
  const network = {
    bridge,
    mtu,
    v4: rangeOf(v4, { family: 4, shortest: 16, longest: 29 }),
    v6: v6 === undefined ? undefined : rangeOf(v6, { family: 6, shortest: 48, longest: 112 }),
  };
  for (const other of used.map(parseCidr))
    for (const range of [network.v4, network.v6])
      if (range !== undefined && overlap(range, other))
        throw new NetworkError(
          "invalid",
          `the range ${formatCidr(range)} overlaps ${formatCidr(other)}, which is in use`,
        );
  return network;
}

type RangeRule = { readonly family: 4 | 6; readonly shortest: number; readonly longest: number };

function rangeOf(text: string, { family, shortest, longest }: RangeRule): Cidr {
  const range = parseCidr(text);
  if (range.family !== family || range.prefix < shortest || range.prefix > longest)
    throw new NetworkError(
      "invalid",
      `${text} is not an IPv${family} range with a prefix from /${shortest} to /${longest}`,
    );
  return range;
}

const at = ({ family, network }: Cidr, index: number): Address => ({
  family,
  value: network + BigInt(index),
});

/** The host's addresses on the bridge. */
export const gatewayOf = ({ v4, v6 }: NodeNetwork) => ({
  mac: macOf(at(v4, GATEWAY_INDEX)),
  v4: at(v4, GATEWAY_INDEX),
  v6: v6 === undefined ? undefined : at(v6, GATEWAY_INDEX),
});

/** The indexes that interfaces may have: not the network's own address, the gateway and the broadcast address. */
export const indexesOf = ({ v4 }: NodeNetwork) => ({
  first: GATEWAY_INDEX + 1,
  last: Number(sizeOf(v4)) - 2,
});

/** The names of taps begin with this. */
export const tapPrefix = ({ bridge }: NodeNetwork): string => `${bridge}-`;

/** The interface of an index. Throws `invalid` for an index outside of the pool. */
export function guestInterface(network: NodeNetwork, index: number, mac?: Mac): GuestInterface {
  const { first, last } = indexesOf(network);
  if (!Number.isInteger(index) || index < first || index > last)
    throw new NetworkError("invalid", `the pool has the indexes ${first} to ${last}, not ${index}`);
  const v4 = at(network.v4, index);
  return {
    index,
    tap: `${tapPrefix(network)}${index}`,
    mac: mac ?? macOf(v4),
    v4,
    v6: network.v6 === undefined ? undefined : at(network.v6, index),
  };
}

/** The index behind an address of the pool. Throws `invalid` for another address. */
export function indexOfAddress(network: NodeNetwork, text: string): number {
  const address = requireAddress(text);
  const range = [network.v4, network.v6].find((each) => each !== undefined && contains(each, address));
  const index = range === undefined ? -1n : address.value - range.network;
  const { first, last } = indexesOf(network);
  if (index < BigInt(first) || index > BigInt(last))
    throw new NetworkError(
      "invalid",
      `${formatAddress(address)} is not an address that guests can have here`,
    );
  return Number(index);
}

/** The index in a tap's name; undefined if the name is not one of this network's taps. */
export function indexOfTap(network: NodeNetwork, name: string): number | undefined {
  const prefix = tapPrefix(network);
  const digits = name.startsWith(prefix) ? name.slice(prefix.length) : "";
  const index = /^[1-9][0-9]{0,4}$/.test(digits) ? Number(digits) : 0;
  const { first, last } = indexesOf(network);
  return index >= first && index <= last ? index : undefined;
}
