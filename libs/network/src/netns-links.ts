/**
 * What somebody else has set up in a network namespace, as a guest needs it that takes the place of the namespace's programs. Pure.
 *
 * A link counts if it is an Ethernet link that is up, has an address of global scope and is nobody's port. Taps do not count: they
 * lead to another guest. Routes that the kernel made from addresses are left out, because the guest's kernel makes them too.
 */
import { array, number, record, string } from "./json.ts";
import { NetworkError } from "./network-error.ts";

/** A link and its addresses. */
export type NetnsLink = {
  readonly name: string;
  /** Number of the link in its namespace: the name of its tap. */
  readonly index: number;
  readonly mac: string;
  readonly mtu: number;
  /** Addresses of global scope as CIDR, such as "10.0.0.2/24". */
  readonly addresses: readonly string[];
};

export type NetnsRoute = {
  /** Name of the link. */
  readonly link: string;
  /** As CIDR. */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly source: string | undefined;
  /** 0 means the kernel's default. */
  readonly metric: number;
  readonly scope: "global" | "link" | "host";
  readonly onlink: boolean;
};

/** A permanent entry of a neighbour table. */
export type NetnsNeighbour = { readonly link: string; readonly address: string; readonly mac: string };

export type NetnsNetwork = {
  /** Sorted by number. */
  readonly links: readonly NetnsLink[];
  readonly routes: readonly NetnsRoute[];
  readonly neighbours: readonly NetnsNeighbour[];
};

/** What `ip -json` prints: `-details address show`, `-4` and `-6 route show table main`, `neighbor show nud permanent`. */
export type NetnsListings = {
  readonly addresses: unknown;
  readonly routes4: unknown;
  readonly routes6: unknown;
  readonly neighbours: unknown;
};

/** Bounds of what a guest is told: interfaces, addresses of each, routes, neighbours. */
export const NETNS_BOUNDS = { links: 8, addresses: 16, routes: 1024, neighbours: 1024 } as const;

/** The network of a namespace. Throws `exhausted` for one with more than a guest can be told. */
export function netnsNetwork(listings: NetnsListings): NetnsNetwork {
  const links = array(listings.addresses)
    .map(record)
    .filter(isSuitable)
    .map(linkOf)
    .filter(({ addresses }) => addresses.length > 0)
    .sort((a, b) => a.index - b.index);
  const names = new Set(links.map(({ name }) => name));
  const isOurs = ({ link }: { readonly link: string }) => names.has(link);
  const found = {
    links,
    routes: [...routesOf(listings.routes4, 4), ...routesOf(listings.routes6, 6)].filter(isOurs),
    neighbours: neighboursOf(listings.neighbours).filter(isOurs),
  };
  checkBounds(found);
  return found;
}

type Json = Readonly<Record<string, unknown>>;

function isSuitable({ link_type, flags, master, linkinfo }: Json): boolean {
  const kind = record(linkinfo).info_kind;
  const isUp = array(flags).includes("UP");
  return link_type === "ether" && isUp && master === undefined && kind !== "tun" && kind !== "bridge";
}

const linkOf = ({ ifname, ifindex, address, mtu, addr_info }: Json): NetnsLink => ({
  name: string(ifname),
  index: number(ifindex),
  mac: string(address),
  mtu: number(mtu),
  addresses: array(addr_info)
    .map(record)
    .filter(({ scope }) => scope === "global")
    .map(({ local, prefixlen }) => `${string(local)}/${number(prefixlen)}`),
});

const SCOPES = ["global", "link", "host"] as const;

function routesOf(listing: unknown, family: 4 | 6): readonly NetnsRoute[] {
  return array(listing)
    .map(record)
    .filter(({ protocol, type }) => protocol !== "kernel" && (type === undefined || type === "unicast"))
    .map(({ dev, dst, gateway, prefsrc, metric, scope, flags }) => ({
      link: string(dev),
      destination: destinationOf(string(dst), family),
      gateway: gateway === undefined ? undefined : string(gateway),
      source: prefsrc === undefined ? undefined : string(prefsrc),
      metric: number(metric),
      scope: SCOPES.find((each) => each === scope) ?? "global",
      onlink: array(flags).includes("onlink"),
    }));
}

/** `ip` prints no length for a single address. */
function destinationOf(dst: string, family: 4 | 6): string {
  if (dst === "default") return family === 4 ? "0.0.0.0/0" : "::/0";
  return dst.includes("/") ? dst : `${dst}/${family === 4 ? 32 : 128}`;
}

const neighboursOf = (listing: unknown): readonly NetnsNeighbour[] =>
  array(listing)
    .map(record)
    .filter(({ lladdr }) => lladdr !== undefined)
    .map(({ dev, dst, lladdr }) => ({ link: string(dev), address: string(dst), mac: string(lladdr) }));

function checkBounds({ links, routes, neighbours }: NetnsNetwork): void {
  const most = Math.max(0, ...links.map(({ addresses }) => addresses.length));
  for (const [what, count, bound] of [
    ["links", links.length, NETNS_BOUNDS.links],
    ["addresses on a link", most, NETNS_BOUNDS.addresses],
    ["routes", routes.length, NETNS_BOUNDS.routes],
    ["permanent neighbours", neighbours.length, NETNS_BOUNDS.neighbours],
  ] as const)
    if (count > bound)
      throw new NetworkError(
        "exhausted",
        `the network namespace has ${count} ${what}, and a guest can have ${bound}`,
      );
}
