/** The routes of a record: as declared, and as configured in the guest. Pure. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Address, formatAddress, gatewayOf, guestInterface, type NodeNetwork } from "@paddock/network";
import { agentpb, type RouteSchema, RouteScope } from "@paddock/protocol";
import type { InterfaceRecord, NetworkRecord, RouteRecord } from "../record/network-record.ts";

/** The kernel's metric of an IPv6 route without one. */
export const DEFAULT_IPV6_METRIC = 1024;

/** The routes that a sandbox should have: the declared ones, or the node's default routes. */
export function declaredRoutes(
  { interfaces, routes }: NetworkRecord,
  network: NodeNetwork,
): readonly RouteRecord[] {
  if (routes !== undefined) return routes;
  const [first] = interfaces;
  // With two default routes, the kernel would choose one arbitrarily.
  return first === undefined ? [] : defaultRoutes(first, network);
}

function defaultRoutes({ interfaceId, index }: InterfaceRecord, network: NodeNetwork): RouteRecord[] {
  const gateway = gatewayOf(network);
  const { v4, v6 } = guestInterface(network, index);
  const route = (to: Address, source: Address): RouteRecord => ({
    destination: to.family === 4 ? "0.0.0.0/0" : "::/0",
    interfaceId,
    gateway: formatAddress(to),
    source: formatAddress(source),
    metric: to.family === 4 ? 0 : DEFAULT_IPV6_METRIC,
    scope: "global",
    onlink: true,
  });
  return [
    route(gateway.v4, v4),
    ...(gateway.v6 === undefined || v6 === undefined ? [] : [route(gateway.v6, v6)]),
  ];
}

type Named = Pick<InterfaceRecord, "interfaceId" | "name">;

const AGENT_SCOPES = {
  global: agentpb.RouteScope.GLOBAL,
  link: agentpb.RouteScope.LINK,
  host: agentpb.RouteScope.HOST,
} as const satisfies Record<RouteRecord["scope"], agentpb.RouteScope>;

/** The routes for the guest, without those by an interface that it should not have. */
export const guestRoutes = (
  routes: readonly RouteRecord[],
  interfaces: readonly Named[],
): MessageInitShape<typeof agentpb.RouteSchema>[] =>
  routes.flatMap(({ interfaceId, scope, ...route }) => {
    const name = interfaces.find((each) => each.interfaceId === interfaceId)?.name;
    return name === undefined ? [] : [{ ...route, interface: name, scope: AGENT_SCOPES[scope] }];
  });

const SHOWN_SCOPES = {
  global: RouteScope.GLOBAL,
  link: RouteScope.LINK,
  host: RouteScope.HOST,
} as const satisfies Record<RouteRecord["scope"], RouteScope>;

/** A route as shown by the public API. */
export const shownRoute = ({ scope, ...route }: RouteRecord): MessageInitShape<typeof RouteSchema> => ({
  ...route,
  scope: SHOWN_SCOPES[scope],
});

/** Maximum number of routes in one request to the guest. */
const MOST_GUEST_ROUTES = 1024;

/**
 * The declared routes, then those of programs in the guest: as many as fit, without duplicates. The guest refuses two routes
 * with the same destination and metric.
 */
export function withKeptRoutes<T extends KeyOfRoute>(declared: readonly T[], kept: readonly T[]): T[] {
  const keyOf = ({ destination = "", metric = 0 }: KeyOfRoute) =>
    `${destination} ${metric === 0 && destination.includes(":") ? DEFAULT_IPV6_METRIC : metric}`;
  const keys = new Set(declared.map(keyOf));
  const others = kept.filter((route) => {
    const isNew = !keys.has(keyOf(route));
    keys.add(keyOf(route));
    return isNew;
  });
  return [...declared, ...others].slice(0, MOST_GUEST_ROUTES);
}

type KeyOfRoute = { readonly destination?: string; readonly metric?: number };
