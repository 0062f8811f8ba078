/**
 * Addresses of NATS servers: one or several, separated by commas, such as "tls://host-1:password@bus-1:4222,tls://bus-2:4222".
 *
 * "tls://" is a requirement: a server without TLS, or with a certificate that is not valid for the host in its address, is
 * refused. So all servers of a list are either "tls://" or "nats://": one plain server would defeat the security of the others.
 */
import { isIP } from "node:net";

/** One server of the list. */
export type BusServer = {
  readonly host: string;
  readonly port: number;
  /** Whether TLS is required. */
  readonly isTls: boolean;
  readonly login: BusLogin | undefined;
};

/** The login in an address. */
export type BusLogin = { readonly user: string; readonly password: string } | { readonly token: string };

const DEFAULT_PORT = 4222;

/**
 * The servers of a list. A server without a login uses the first login of the list. Throws an Error whose text contains no part
 * of the address that may be a password.
 */
export function parseBusServers(urls: string): BusServer[] {
  const servers = urls.split(",").map((url, index) => parseServer(url.trim(), index + 1));
  if (new Set(servers.map(({ isTls }) => isTls)).size > 1)
    throw new Error("tls:// and nats:// are mixed: one plain server would defeat the TLS of the others");
  const login = servers.find((each) => each.login !== undefined)?.login;
  return servers.map((server) => ({ ...server, login: server.login ?? login }));
}

/** The address without its login, for logs and errors. */
export const shownServer = ({ host, port, isTls }: BusServer): string =>
  `${isTls ? "tls" : "nats"}://${hostPort({ host, port })}`;

/** "host:port", the form for a client. */
export const hostPort = ({ host, port }: Pick<BusServer, "host" | "port">): string =>
  `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;

/** Whether the name refers only to this host. */
export const isLoopbackHost = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

function parseServer(text: string, place: number): BusServer {
  const url = URL.parse(text);
  const isAddress =
    url !== null &&
    (url.protocol === "nats:" || url.protocol === "tls:") &&
    url.hostname !== "" &&
    ["", "/"].includes(url.pathname) &&
    url.search === "" &&
    url.hash === "";
  if (!isAddress)
    throw new Error(
      `address ${place} is not nats://host:port or tls://host:port, perhaps with user:password@, where "/", "?", "#", "@" and "," are written as %2F, %3F, %23, %40 and %2C`,
    );
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    isTls: url.protocol === "tls:",
    login: loginOf(url, place),
  };
}

function loginOf({ username, password }: URL, place: number): BusLogin | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const user = decodeURIComponent(username);
    return password === "" ? { token: user } : { user, password: decodeURIComponent(password) };
  } catch {
    throw new Error(`address ${place} has a % in its user or password that is not part of a %XX`);
  }
}
