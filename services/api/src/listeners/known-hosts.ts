/**
 * By which names the HTTP port may be asked.
 *
 * A web page may let its own name lead to our address (DNS rebinding): the browser then lets it read and call all that is here. What
 * gives such a request away is the name in it. So one that asks for another host than ours is refused, on every path. An IP address
 * cannot be made to lead elsewhere, so the one at which the connection arrived is always ours.
 */
import { type HostPort, isLoopback, parseHost, parseHostPort } from "@paddock/rpc";

/** A host of the settings; without a port it is known with any. */
export type AllowedHost = { readonly host: string; readonly port: number | undefined };

/** One entry of the setting: a host, or a host and a port. Undefined if it is neither. */
export function parseAllowedHost(text: string): AllowedHost | undefined {
  const host = parseHost(text);
  return host === undefined ? parseHostPort(text) : { host, port: undefined };
}

/** What a request asks for, as in `Host` or `:authority`; without a port it is the scheme's. Undefined if it is none. */
export function parseAuthority(text: string, defaultPort: number): HostPort | undefined {
  const host = parseHost(text);
  return host === undefined ? parseHostPort(text) : { host, port: defaultPort };
}

export type KnownHosts = {
  /** Where the service listens, as it is set. */
  readonly listen: string;
  readonly allowed: readonly AllowedHost[];
};

/** Whether a request for `asked` is for us, on a connection to `local`. */
export function isKnownHost(asked: HostPort, local: HostPort, { listen, allowed }: KnownHosts): boolean {
  const isOurs = isLoopback(asked.host) || asked.host === listen || asked.host === withoutMapping(local.host);
  if (isOurs && asked.port === local.port) return true;
  return allowed.some(({ host, port }) => host === asked.host && (port === undefined || port === asked.port));
}

/** An IPv4 connection to a socket that listens on IPv6 has an address of both. */
const withoutMapping = (host: string): string => /^::ffff:([0-9.]+)$/i.exec(host)?.[1] ?? host;
