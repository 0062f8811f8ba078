/** Ranges of addresses with a common prefix. */
import { type Address, type Family, formatAddress, parseAddress, widthOf } from "./address.ts";
import { NetworkError } from "./network-error.ts";

export type Cidr = {
  readonly family: Family;
  /** The first address of the range. */
  readonly network: bigint;
  readonly prefix: number;
};

/** The range of a text such as `10.0.0.0/8`. Throws `invalid`, also for bits after the prefix. */
export function parseCidr(text: string): Cidr {
  const [, addressText = "", prefixText = ""] = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  const prefix = Number(prefixText);
  if (address === undefined || prefix > widthOf(address.family))
    throw new NetworkError(
      "invalid",
      `${JSON.stringify(text)} is not a range such as 10.0.0.0/8 or fd00::/64`,
    );
  const cidr = cidrAround(address, prefix);
  if (cidr.network !== address.value)
    throw new NetworkError(
      "invalid",
      `${text} has bits set after its prefix; the range around the address is ${formatCidr(cidr)}`,
    );
  return cidr;
}

/** The range with that prefix in which the address is. */
export function cidrAround({ family, value }: Address, prefix: number): Cidr {
  const hostBits = BigInt(widthOf(family) - prefix);
  return { family, network: (value >> hostBits) << hostBits, prefix };
}

export const formatCidr = ({ family, network, prefix }: Cidr): string =>
  `${formatAddress({ family, value: network })}/${prefix}`;

/** How many addresses the range has. */
export const sizeOf = ({ family, prefix }: Cidr): bigint => 1n << BigInt(widthOf(family) - prefix);

export const contains = (cidr: Cidr, { family, value }: Address): boolean =>
  family === cidr.family && value >= cidr.network && value < cidr.network + sizeOf(cidr);

/** Whether the ranges have an address in common. */
export const overlap = (a: Cidr, b: Cidr): boolean =>
  contains(a, { family: b.family, value: b.network }) || contains(b, { family: a.family, value: a.network });
