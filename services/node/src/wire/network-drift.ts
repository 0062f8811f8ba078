/** The network that a guest reports, compared with the declared one. Pure. The guest may report anything. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { formatAddress, formatCidr, NetworkError, parseAddress, parseCidr } from "@paddock/network";
import {
  agentpb,
  type NetworkDrift,
  NetworkDriftSchema,
  type NetworkInterfaceSchema,
} from "@paddock/protocol";
import { guestText } from "../agent/guest-text.ts";
import type { RouteRecord } from "../record/network-record.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { guestCards, guestNetwork, type NodeSide } from "./guest-network.ts";
import { DEFAULT_IPV6_METRIC, declaredRoutes } from "./guest-routes.ts";

type Parts = Pick<SandboxRecord, "network" | "operations">;

/** Bounds on what is shown: characters of a guest's text, and differences. */
const MOST_CHARACTERS = 64;
const MOST_DRIFT = 64;
/** Bounds on what is shown: addresses of an interface, and routes. */
const MOST_ADDRESSES = 64;
const MOST_ROUTES = 1024;

type Shown = MessageInitShape<typeof NetworkInterfaceSchema>;

/** The guest's interfaces that belong to declared ones, matched by card. */
export function reportedInterfaces(
  record: Parts,
  side: NodeSide,
  reported: readonly agentpb.InterfaceStatus[],
): Shown[] {
  return guestCards(record, side.network).flatMap(({ interfaceId, mac }) => {
    const found = reported.find((each) => each.interface?.permanentMac === mac)?.interface;
    if (found === undefined) return [];
    return [
      {
        interfaceId,
        name: text(found.name),
        macAddress: text(found.mac),
        mtu: found.mtu,
        addresses: found.addresses.slice(0, MOST_ADDRESSES).map(text),
      },
    ];
  });
}

const text = (raw: string): string => guestText(raw, MOST_CHARACTERS);

/** Differences of the interfaces. The link-local addresses that the kernel adds do not count. */
export function interfaceDrift(record: Parts, side: NodeSide, reported: readonly agentpb.InterfaceStatus[]) {
  const { interfaces } = guestNetwork(record, side);
  const drift = interfaces.flatMap((declared) => {
    const found = reported.find((each) => each.interface?.permanentMac === declared.permanentMac)?.interface;
    const [is, should] = [found && lineOf(found), lineOf(declared)];
    return is === should ? [] : [drifted(`interface ${declared.name}`, should, is ?? "")];
  });
  return drift.slice(0, MOST_DRIFT);
}

const lineOf = ({ name, mac, mtu, addresses, down }: agentpb.Interface): string =>
  [
    text(name),
    text(mac),
    `mtu ${mtu}`,
    ...addresses.slice(0, MOST_ADDRESSES).filter(isGlobal).map(text).toSorted(),
    ...(down ? ["down"] : []),
  ].join(" ");

const isGlobal = (cidr: string): boolean => !/^fe[89ab]/.test(cidr);

const drifted = (subject: string, declared: string, reported: string): NetworkDrift =>
  create(NetworkDriftSchema, { subject, declared, reported });

/**
 * The routes of the guest: those by interfaces of the sandbox, and those that programs in the guest created for interfaces of
 * their own.
 */
export type ReportedRoutes = {
  readonly own: readonly RouteRecord[];
  readonly foreign: readonly agentpb.Route[];
};

/** The routes that the guest reports, without the kernel's own and invalid ones. */
export function reportedRoutes(
  record: Parts,
  { network }: NodeSide,
  reported: readonly agentpb.Route[],
): ReportedRoutes {
  const cards = guestCards(record, network);
  const made = reported.filter(({ fromKernel }) => !fromKernel).slice(0, MOST_ROUTES);
  const ids = new Map(cards.map(({ name, interfaceId }) => [name, interfaceId]));
  return {
    own: made.flatMap((route) => {
      const interfaceId = ids.get(route.interface);
      return interfaceId === undefined ? [] : ownRoute(route, interfaceId);
    }),
    foreign: made.filter((route) => !ids.has(route.interface)),
  };
}

const SCOPES = {
  [agentpb.RouteScope.UNSPECIFIED]: "global",
  [agentpb.RouteScope.GLOBAL]: "global",
  [agentpb.RouteScope.LINK]: "link",
  [agentpb.RouteScope.HOST]: "host",
} as const satisfies Record<agentpb.RouteScope, RouteRecord["scope"]>;

function ownRoute(
  { destination, gateway, source, metric, scope, onlink }: agentpb.Route,
  interfaceId: string,
): RouteRecord[] {
  try {
    const to = parseCidr(destination);
    const scopes: Readonly<Record<number, RouteRecord["scope"]>> = SCOPES;
    return [
      {
        destination: formatCidr(to),
        interfaceId,
        gateway: canonical(gateway),
        source: canonical(source),
        metric: to.family === 6 && metric === 0 ? DEFAULT_IPV6_METRIC : metric,
        scope: to.family === 6 ? "global" : (scopes[scope] ?? "global"),
        onlink,
      },
    ];
  } catch (error) {
    if (error instanceof NetworkError) return [];
    throw error;
  }
}

function canonical(raw: string): string {
  const address = parseAddress(raw);
  return address === undefined ? "" : formatAddress(address);
}

/** Differences of the routes, including routes of the guest that are not declared. */
export function routeDrift(record: Parts, side: NodeSide, own: readonly RouteRecord[]): NetworkDrift[] {
  const ids = new Set(guestCards(record, side.network).map(({ interfaceId }) => interfaceId));
  const declared = declaredRoutes(record.network, side.network).filter(({ interfaceId }) =>
    ids.has(interfaceId),
  );
  const [should, is] = [byKey(declared), byKey(own)];
  return [...new Set([...should.keys(), ...is.keys()])]
    .filter((key) => should.get(key) !== is.get(key))
    .map((key) => drifted(`route ${key}`, should.get(key) ?? "", is.get(key) ?? ""))
    .slice(0, MOST_DRIFT);
}

const byKey = (routes: readonly RouteRecord[]): ReadonlyMap<string, string> =>
  new Map(routes.map((route) => [`${route.destination} metric ${route.metric}`, routeLine(route)]));

const routeLine = ({ interfaceId, gateway, source, scope, onlink }: RouteRecord): string =>
  [
    `interface ${interfaceId}`,
    ...(gateway === "" ? [] : [`gateway ${gateway}`]),
    ...(source === "" ? [] : [`source ${source}`]),
    `scope ${scope}`,
    ...(onlink ? ["onlink"] : []),
  ].join(" ");
