/** Ethernet frames in hexadecimal, well formed or hostile. */
import { type Address, requireAddress } from "../address.ts";

const hex = (value: number | bigint, bytes: number): string => value.toString(16).padStart(2 * bytes, "0");

const macHex = (mac: string): string => mac.replaceAll(":", "");

const ipHex = (address: string): string => {
  const { family, value }: Address = requireAddress(address);
  return hex(value, family === 4 ? 4 : 16);
};

export type Ends = { readonly from: string; readonly to: string };

export const ethernet = ({ from, to }: Ends, type: number, payload: string): string =>
  `${macHex(to)}${macHex(from)}${hex(type, 2)}${payload}`.padEnd(120, "0");

/** A frame with a VLAN tag. */
export const tagged = (frame: string, vlan: number): string =>
  `${frame.slice(0, 24)}8100${hex(vlan, 2)}${frame.slice(24)}`;

export type ArpParty = { readonly mac: string; readonly ip: string };

export const arp = (operation: "request" | "reply", sender: ArpParty, target: ArpParty): string =>
  `0001080006040${operation === "request" ? "001" : "002"}${macHex(sender.mac)}${ipHex(sender.ip)}${macHex(target.mac)}${ipHex(target.ip)}`;

/** The one's complement sum of RFC 1071. */
function checksum(bytes: string): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 4)
    sum += Number.parseInt(bytes.slice(at, at + 4).padEnd(4, "0"), 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const IP_HEADER_BYTES = 20;

export type Fragment = { readonly offset: number; readonly more: boolean };

export function ipv4(
  { from, to }: Ends,
  protocol: number,
  payload: string,
  { offset, more }: Fragment = { offset: 0, more: false },
): string {
  const length = IP_HEADER_BYTES + payload.length / 2;
  const fragment = (more ? 0x2000 : 0) | (offset / 8);
  const header = `4500${hex(length, 2)}1234${hex(fragment, 2)}40${hex(protocol, 1)}`;
  const ends = `${ipHex(from)}${ipHex(to)}`;
  return `${header}${hex(checksum(`${header}0000${ends}`), 2)}${ends}${payload}`;
}

export function ipv6({ from, to }: Ends, next: number, payload: string, hopLimit = 255): string {
  return `60000000${hex(payload.length / 2, 2)}${hex(next, 1)}${hex(hopLimit, 1)}${ipHex(from)}${ipHex(to)}${payload}`;
}

/** UDP without a checksum, which only IPv4 allows. */
export const udp = (from: number, to: number, text: string): string => {
  const data = Buffer.from(text).toString("hex");
  return `${hex(from, 2)}${hex(to, 2)}${hex(8 + data.length / 2, 2)}0000${data}`;
};

export function icmpv6({ from, to }: Ends, type: number, body: string): string {
  const pseudo = `${ipHex(from)}${ipHex(to)}${hex(4 + body.length / 2, 4)}${hex(58, 4)}`;
  const sum = checksum(`${pseudo}${hex(type, 1)}000000${body}`);
  return `${hex(type, 1)}00${hex(sum, 2)}${body}`;
}

export const ADVERTISEMENT = 136;
export const ROUTER_ADVERTISEMENT = 134;

/** A neighbour solicitation or advertisement for an address, with the MAC address of the sender. */
export function neighbour(type: number, ends: Ends, target: string, mac: string): string {
  const flags = type === ADVERTISEMENT ? "a0000000" : "00000000";
  const option = `${type === ADVERTISEMENT ? "02" : "01"}01${macHex(mac)}`;
  return ipv6(ends, 58, icmpv6(ends, type, `${flags}${ipHex(target)}${option}`));
}

/** A router advertisement that makes its sender the default router. */
export const routerAdvertisement = (ends: Ends, mac: string): string =>
  ipv6(ends, 58, icmpv6(ends, ROUTER_ADVERTISEMENT, `400007080000000000000000${`0101${macHex(mac)}`}`));

/** A DHCP offer, as a server sends it to everyone. */
export const dhcpOffer = (server: string): string =>
  ipv4({ from: server, to: "255.255.255.255" }, 17, udp(67, 68, "\u0002".padEnd(240, "\u0000")));
