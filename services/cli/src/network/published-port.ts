/** Published ports as docker writes them: `--publish [ADDRESS:][HOST:]GUEST[/PROTOCOL]`, and the column PORTS. */
import { NetworkProtocol, type PublishedPort } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { addressOf, addressText, beforePort, MAX_PORT, type PortRange, portRange } from "./address-words.ts";

export type PortWanted = Pick<PublishedPort, "hostAddress" | "hostPort" | "guestPort" | "protocol">;

/** The protocol takes so many for one sandbox. */
const MAX_PUBLISHED = 64;
const PROTOCOLS: ReadonlyMap<string, NetworkProtocol> = new Map([
  ["tcp", NetworkProtocol.TCP],
  ["udp", NetworkProtocol.UDP],
]);
const FORM =
  'write [ADDRESS:][HOST:]GUEST[/tcp|udp], such as "8080:80", "127.0.0.1:8080:80" or "[::1]:53:53/udp"';

/** The ports of all `--publish` options. Throws a usage error, also for a port of the host that is given twice. */
export function parsePublished(texts: readonly string[]): PortWanted[] {
  const ports = texts.flatMap(parseOne);
  if (ports.length > MAX_PUBLISHED)
    throw usageError(
      `--publish names ${ports.length} ports, and a sandbox can have ${MAX_PUBLISHED}`,
      "publish fewer, or reach the others with an address of the sandbox",
    );
  const seen = new Set<string>();
  for (const { hostAddress, hostPort, protocol } of ports) {
    const name = `${hostAddress === "" ? "" : `${beforePort(hostAddress)}:`}${hostPort}/${protocolText(protocol)}`;
    if (hostPort !== 0 && seen.has(name))
      throw usageError(
        `--publish names port ${name} of the host twice`,
        "each port of the host leads to one port",
      );
    seen.add(name);
  }
  return ports;
}

function parseOne(text: string): PortWanted[] {
  const [, body = "", protocolName = "tcp"] = /^([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  const protocol = PROTOCOLS.get(protocolName.toLowerCase());
  if (protocol === undefined)
    throw usageError(
      `--publish ${printable(text)}: "${printable(protocolName)}" is not a protocol that can be published`,
      "tcp (the default) or udp",
    );
  const { address, ports } = splitAddress(text, body);
  const [guestText = "", hostText = "", ...rest] = ports.split(":").reverse();
  const guest = portRange(guestText, 1);
  const host = portRange(hostText === "" ? "0" : hostText, 0);
  if (guest === undefined || host === undefined || rest.length > 0)
    throw usageError(
      `--publish ${printable(text)} is not a port to publish: ports are from 1 to ${MAX_PORT}`,
      FORM,
    );
  return pairs(text, host, guest).map((pair) => ({ hostAddress: address, ...pair, protocol }));
}

/** The address of the host in front, which is empty for all addresses, and the ports after it. */
function splitAddress(text: string, body: string): { address: string; ports: string } {
  const what = `--publish ${printable(text)}`;
  const [, v6, after = ""] = /^\[([^\]]*)\](?::(.*))?$/.exec(body) ?? [];
  if (v6 !== undefined) {
    if (addressOf(what, v6).family !== 6)
      throw usageError(`${what}: only IPv6 addresses have brackets`, FORM);
    return { address: addressText(what, v6), ports: after };
  }
  const [first = "", ...ports] = body.split(":");
  return ports.length > 0 && /[^\d-]/.test(first)
    ? { address: addressText(what, first), ports: ports.join(":") }
    : { address: "", ports: body };
}

/** Port by port. Port 0 of the host is a free one for each. */
function pairs(text: string, host: PortRange, guest: PortRange): { hostPort: number; guestPort: number }[] {
  const count = guest.last - guest.first + 1;
  const isFree = host.first === 0;
  if ((isFree && host.last !== 0) || (!isFree && host.last - host.first + 1 !== count))
    throw usageError(
      `--publish ${printable(text)}: the two ranges differ in length`,
      "write as many ports of the host as of the sandbox, or leave out those of the host for free ones",
    );
  return Array.from({ length: count }, (_, at) => ({
    hostPort: isFree ? 0 : host.first + at,
    guestPort: guest.first + at,
  }));
}

export const protocolText = (protocol: NetworkProtocol): "tcp" | "udp" =>
  protocol === NetworkProtocol.UDP ? "udp" : "tcp";

/** Where the host takes connections, "0.0.0.0:8080" and "[::]:8080" for all its addresses. */
export const hostSides = ({ hostAddress }: PortWanted, ports: string): string[] =>
  (hostAddress === "" ? ["0.0.0.0", "::"] : [hostAddress]).map((each) => `${beforePort(each)}:${ports}`);

/** The column PORTS: "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"; ports in a row as a range. Empty without ports. */
export const portsText = (ports: readonly PortWanted[]): string => runsOf(ports).flatMap(runText).join(", ");

type Run = { readonly from: PortWanted; readonly count: number };

/** Ports that follow one another on both sides, as one. */
function runsOf(ports: readonly PortWanted[]): Run[] {
  const ordered = [...ports].sort(
    (a, b) =>
      a.protocol - b.protocol ||
      (a.hostAddress < b.hostAddress ? -1 : a.hostAddress > b.hostAddress ? 1 : 0) ||
      a.guestPort - b.guestPort ||
      a.hostPort - b.hostPort,
  );
  const runs: Run[] = [];
  for (const port of ordered) {
    const last = runs.at(-1);
    if (last !== undefined && continues(last, port))
      runs[runs.length - 1] = { ...last, count: last.count + 1 };
    else runs.push({ from: port, count: 1 });
  }
  return runs;
}

const continues = ({ from, count }: Run, next: PortWanted): boolean =>
  from.protocol === next.protocol &&
  from.hostAddress === next.hostAddress &&
  from.guestPort + count === next.guestPort &&
  from.hostPort + count === next.hostPort;

function runText({ from, count }: Run): string[] {
  const range = (first: number) => (count === 1 ? `${first}` : `${first}-${first + count - 1}`);
  const guest = `${range(from.guestPort)}/${protocolText(from.protocol)}`;
  return hostSides(from, range(from.hostPort)).map((side) => `${side}->${guest}`);
}
