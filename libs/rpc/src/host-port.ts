/**
 * Addresses as "host:port", and the kind of host that they name.
 *
 * The C library reads "0", "127.1" and "0x7f000001" as IPv4 addresses. Here they are invalid: an address is written in full, so
 * that the checked address is the one that is used.
 */
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import type { Form } from "@paddock/lifecycle";

/** A host and a port; IPv6 addresses without brackets, names in lower case without the dot at the end. */
export type HostPort = { readonly host: string; readonly port: number };

/** The host and port in "host:port" or "[v6]:port"; undefined for any other text. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(.+):([0-9]{1,5})$/.exec(text);
  const host = parseHost(match?.[1] ?? "");
  const port = Number(match?.[2]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** The form of a setting that is such an address. */
export const hostPortForm: Form<HostPort> = {
  form: "an address of the form host:port, such as 127.0.0.1:7070 or [::1]:7070",
  parse: parseHostPort,
};

/** A host in the form of a URL: a name, an IPv4 address, or an IPv6 address in brackets. Undefined for any other text. */
export function parseHost(text: string): string | undefined {
  const v6 = /^\[([^\]]+)\]$/.exec(text)?.[1];
  if (v6 !== undefined)
    return isIPv6(v6) && !v6.includes("%") ? new URL(`http://${text}`).hostname.slice(1, -1) : undefined;
  if (isIPv4(text)) return text;
  const name = text.toLowerCase().replace(/\.$/, "");
  return isName(name) ? name : undefined;
}

/** "host:port", with brackets where they are needed. */
export const formatHostPort = ({ host, port }: HostPort): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** Whether the host is reachable only from itself. */
export const isLoopback = (host: string): boolean => host === "localhost" || isIn(LOOPBACK, host);

/** Whether the host means all addresses: a server can listen on it, a client cannot connect to it. */
export const isWildcard = (host: string): boolean => isIn(WILDCARD, host);

function isName(name: string): boolean {
  if (name.length > 253) return false;
  const labels = name.split(".");
  const last = labels.at(-1) ?? "";
  return (
    labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label)) &&
    !/^([0-9]+|0x[0-9a-f]*)$/.test(last)
  );
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");
const WILDCARD = new BlockList();
WILDCARD.addSubnet("0.0.0.0", 8, "ipv4");
WILDCARD.addAddress("::", "ipv6");

/** Also matches IPv4 addresses in their IPv6 form. */
function isIn(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}
