/** The options of `network connect`: what a new interface is to be. */
import { parseMac } from "@paddock/network";
import type { NetworkInterface } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { addressOf, addressText, asUsage } from "./address-words.ts";

export type InterfaceOptions = {
  readonly ip?: readonly string[];
  readonly mac?: string;
  readonly mtu?: string;
  readonly name?: string;
};

const MAX_ADDRESSES = 16;
const [MIN_MTU, MAX_MTU] = [576, 9216];

/** What was asked for; what was not is empty, and the node chooses it. Throws a usage error. */
export function parseInterface({
  ip = [],
  mac,
  mtu,
  name,
}: InterfaceOptions): Pick<NetworkInterface, "name" | "macAddress" | "mtu" | "addresses"> {
  if (ip.length > MAX_ADDRESSES)
    throw usageError(`--ip is given ${ip.length} times`, `an interface can have ${MAX_ADDRESSES} addresses`);
  if (name !== undefined && !/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(name))
    throw usageError(
      `--name: "${printable(name)}" is not a name for an interface`,
      "a letter, then up to 14 letters, digits, underscores, dots and dashes",
    );
  return {
    name: name ?? "",
    macAddress:
      mac === undefined ? "" : asUsage("--mac", () => parseMac(mac), "write such as 02:00:00:00:00:17"),
    mtu: mtu === undefined ? 0 : parseMtu(mtu),
    addresses: ip.map(addressWithPrefix),
  };
}

function parseMtu(text: string): number {
  const mtu = Number(text);
  if (!/^\d{1,5}$/.test(text) || mtu < MIN_MTU || mtu > MAX_MTU)
    throw usageError(
      `--mtu: "${printable(text)}" is not an MTU`,
      `a number of bytes from ${MIN_MTU} to ${MAX_MTU}`,
    );
  return mtu;
}

/** A guest has each address alone, so a prefix may be left out. */
function addressWithPrefix(text: string): string {
  const what = `--ip ${printable(text)}`;
  const [address = "", prefix, ...rest] = text.split("/");
  const longest = addressOf(what, address).family === 4 ? 32 : 128;
  const length = prefix ?? String(longest);
  if (!/^\d{1,3}$/.test(length) || Number(length) > longest || rest.length > 0)
    throw usageError(
      `${what}: a prefix has a length from 0 to ${longest}`,
      `write the address alone, or with /${longest}`,
    );
  return `${addressText(what, address)}/${Number(length)}`;
}
