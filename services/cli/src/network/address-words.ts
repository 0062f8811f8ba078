/** Addresses and ranges as users write them. What is refused is a usage error with the words of the network library. */
import {
  type Address,
  type Cidr,
  formatAddress,
  NetworkError,
  parseAddress,
  parseCidr,
} from "@paddock/network";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

export const MAX_PORT = 65_535;

/** Runs a parser of the network library. Its error becomes a usage error that begins with `what`. */
export function asUsage<T>(what: string, parse: () => T, hint?: string): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof NetworkError) throw usageError(`${what}: ${printable(error.message)}`, hint);
    throw error;
  }
}

/** The address of a text. Throws a usage error. */
export function addressOf(what: string, text: string): Address {
  const address = parseAddress(text);
  if (address === undefined)
    throw usageError(
      `${what}: "${printable(text)}" is not an IP address`,
      "write such as 192.0.2.1 or 2001:db8::1",
    );
  return address;
}

/** The canonical text of an address. Throws a usage error. */
export const addressText = (what: string, text: string): string => formatAddress(addressOf(what, text));

/** The range of "10.0.0.0/8", or of a single address. Throws a usage error, also for bits after the prefix. */
export function rangeOf(what: string, text: string): Cidr {
  const address = parseAddress(text);
  if (address === undefined)
    return asUsage(what, () => parseCidr(text), "addresses and ranges have no names: write numbers");
  return parseCidr(`${formatAddress(address)}/${address.family === 4 ? 32 : 128}`);
}

export type PortRange = { readonly first: number; readonly last: number };

/** "80", or "8000-8010": numbers from `least` to 65535, in order. Undefined for any other text. */
export function portRange(text: string, least: number): PortRange | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  return match !== null && first >= least && first <= last && last <= MAX_PORT ? { first, last } : undefined;
}

/** An address before a port: IPv6 in brackets. */
export const beforePort = (address: string): string => (address.includes(":") ? `[${address}]` : address);
