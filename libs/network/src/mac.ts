/** Hardware addresses, in lower case with colons. */
import type { Address } from "./address.ts";
import { NetworkError } from "./network-error.ts";

export type Mac = string & { readonly __id: "mac" };

const isMac = (text: string): text is Mac => /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text);

/** The address of a text. Throws `invalid`, also for multicast addresses and the address of zeros. */
export function parseMac(text: string): Mac {
  const mac = text.toLowerCase().replaceAll("-", ":");
  if (!isMac(mac)) throw new NetworkError("invalid", `${JSON.stringify(text)} is not a MAC address`);
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1)
    throw new NetworkError("invalid", `${mac} is a multicast address, which no interface can have`);
  if (mac === "00:00:00:00:00:00")
    throw new NetworkError("invalid", "00:00:00:00:00:00 is the address of no interface");
  return mac;
}

/** The locally administered MAC address that belongs to an IPv4 address: one for each, so never two alike. */
export const macOf = ({ value }: Address): Mac =>
  parseMac(`02:50:${[24n, 16n, 8n, 0n].map((shift) => hexByte((value >> shift) & 0xffn)).join(":")}`);

const hexByte = (value: bigint): string => value.toString(16).padStart(2, "0");

/** The IPv6 link-local address that a kernel derives from a MAC address (EUI-64, RFC 4291). */
export function linkLocalOf(mac: Mac): Address {
  const bytes = mac.split(":").map((byte) => BigInt(`0x${byte}`));
  const [first = 0n, second = 0n, third = 0n, ...last] = bytes;
  const eui = [first ^ 2n, second, third, 0xffn, 0xfen, ...last];
  return { family: 6, value: eui.reduce((value, byte) => (value << 8n) | byte, 0xfe80n << 48n) };
}
