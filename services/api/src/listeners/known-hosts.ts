/**
 * The host names that the HTTP port answers to.
 *
 * A web page can make its own host name resolve to the api's address (DNS rebinding); the browser then lets the page call
 * everything here. Such a request still carries the page's host name. So a request for an unknown host is refused, on every path.
 * An IP address cannot be rebound, so the address at which a connection arrived is always accepted.
 */
import { type HostPort, isLoopback, parseHost, parseHostPort } from "@paddock/rpc";

/** A host of the settings. Without a port it is allowed with every port. */
export type AllowedHost = { readonly host: string; readonly port: number | undefined };

/** One item of the setting: a host, or a host and a port. Undefined if it is neither. */
export function parseAllowedHost(text: string): AllowedHost | undefined {
  const host = parseHost(text);
  return host === undefined ? parseHostPort(text) : { host, port: undefined };
}

/** The host of a request, as in `Host` or `:authority`, with the default port of the scheme. Undefined if it is malformed. */
export function parseAuthority(text: string, defaultPort: number): HostPort | undefined {
  const host = parseHost(text);
  return host === undefined ? parseHostPort(text) : { host, port: defaultPort };
}

export type KnownHosts = {
  /** The host of the listening address, as it is set. */
  readonly listen: string;
  readonly allowed: readonly AllowedHost[];
};

/** Whether the api answers to the host `asked`, on a connection to the address `local`. */
export function isKnownHost(asked: HostPort, local: HostPort, { listen, allowed }: KnownHosts): boolean {
  const isOurs = isLoopback(asked.host) || asked.host === listen || asked.host === withoutMapping(local.host);
  if (isOurs && asked.port === local.port) return true;
  return allowed.some(({ host, port }) => host === asked.host && (port === undefined || port === asked.port));
}

/** On a socket that listens on IPv6, an IPv4 connection has a mapped address. */
const withoutMapping = (host: string): string => /^::ffff:([0-9.]+)$/i.exec(host)?.[1] ?? host;
