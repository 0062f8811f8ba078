/** The routes of a request, checked without the guest. Pure. */
import { invalidField, PaddockError } from "@paddock/domain";
import {
  type Address,
  type Cidr,
  contains,
  formatAddress,
  formatCidr,
  NetworkError,
  parseAddress,
  parseCidr,
  sameAddress,
} from "@paddock/network";
import { type Route, RouteScope } from "@paddock/protocol";
import type { RouteRecord } from "../record/network-record.ts";
import type { GuestCard } from "./guest-network.ts";
import { DEFAULT_IPV6_METRIC } from "./guest-routes.ts";

type Wanted = {
  readonly field: string;
  readonly route: Route;
  readonly to: Cidr;
  readonly card: GuestCard;
  readonly gateway: Address | undefined;
};

/** Throws INVALID_FIELD, also for a gateway that cannot be reached, and INTERFACE_NOT_FOUND. */
export function declareRoutes(routes: readonly Route[], cards: readonly GuestCard[]): readonly RouteRecord[] {
  const wanted = routes.map((route, at) => parse(route, `routes[${at}]`, cards));
  const declared = wanted.map(recordOf);
  const keys = new Set<string>();
  for (const [at, { destination, metric }] of declared.entries()) {
    const key = `${destination} with metric ${metric}`;
    if (keys.has(key)) throw invalidField(`routes[${at}]`, `is the second route to ${key}`);
    keys.add(key);
  }
  for (const each of wanted) requireGateway(each, wanted, cards);
  return declared;
}

function parse(route: Route, field: string, cards: readonly GuestCard[]): Wanted {
  const card = cards.find(({ interfaceId }) => interfaceId === route.interfaceId);
  if (card === undefined)
    throw new PaddockError("INTERFACE_NOT_FOUND", `the sandbox has no interface ${route.interfaceId}`);
  const to = destinationOf(route, field);
  const isGroup = contains(to.family === 4 ? V4_GROUPS : V6_GROUPS, { family: to.family, value: to.network });
  if (isGroup) throw invalidField(`${field}.destination`, "must not be a range of groups");
  const gateway = addressOf(route.gateway, to, `${field}.gateway`);
  if (gateway === undefined && route.onlink)
    throw invalidField(`${field}.onlink`, "must not be set without a gateway");
  if (gateway !== undefined && (route.scope === RouteScope.LINK || route.scope === RouteScope.HOST))
    throw invalidField(`${field}.scope`, "must be global or unspecified for a route with a gateway");
  const source = addressOf(route.source, to, `${field}.source`);
  if (source !== undefined && !addressesOf(card).some((own) => sameAddress(own, source)))
    throw invalidField(`${field}.source`, `must be an address of the interface ${route.interfaceId}`);
  return { field, route, to, card, gateway };
}

const V4_GROUPS = parseCidr("224.0.0.0/4");
const V6_GROUPS = parseCidr("ff00::/8");
const V6_LINK_LOCAL = parseCidr("fe80::/10");

function destinationOf({ destination }: Route, field: string): Cidr {
  try {
    return parseCidr(destination === "default" ? "0.0.0.0/0" : destination);
  } catch (error) {
    if (error instanceof NetworkError)
      throw invalidField(`${field}.destination`, `is invalid: ${error.message}`);
    throw error;
  }
}

function addressOf(text: string, { family }: Cidr, field: string): Address | undefined {
  if (text === "") return undefined;
  const address = parseAddress(text);
  if (address?.family === family) return address;
  throw invalidField(field, `must be empty or an IPv${family} address, as the destination is`);
}

const addressesOf = ({ at: { v4, v6 } }: GuestCard): readonly Address[] =>
  v6 === undefined ? [v4] : [v4, v6];

function recordOf({ route, to, gateway }: Wanted): RouteRecord {
  const { interfaceId, onlink, source } = route;
  return {
    destination: formatCidr(to),
    interfaceId,
    gateway: gateway === undefined ? "" : formatAddress(gateway),
    source: source === "" ? "" : formatAddress(parseAddress(source) ?? { family: to.family, value: 0n }),
    metric: to.family === 6 && route.metric === 0 ? DEFAULT_IPV6_METRIC : route.metric,
    scope: scopeOf(route, to),
    onlink,
  };
}

/** The kernel has one scope for IPv6. */
function scopeOf({ scope, gateway }: Route, { family }: Cidr): RouteRecord["scope"] {
  if (family === 6) return "global";
  switch (scope) {
    case RouteScope.GLOBAL:
      return "global";
    case RouteScope.LINK:
      return "link";
    case RouteScope.HOST:
      return "host";
    case RouteScope.UNSPECIFIED:
      return gateway === "" ? "link" : "global";
    default:
      return scope satisfies never;
  }
}

/** An IPv4 route of this scope does not put a gateway on the link. */
const isWide = ({ route, to }: Wanted): boolean => to.family === 4 && route.scope === RouteScope.GLOBAL;

/**
 * A guest has each address without a subnet, so a gateway is on the link only if the route says so, or if another route of the
 * request leads to it without a gateway. The guest would check this too, but only against its present routes, and the next boot
 * begins without any.
 */
function requireGateway(
  { field, route, gateway, card }: Wanted,
  all: readonly Wanted[],
  cards: readonly GuestCard[],
): void {
  if (gateway === undefined) return;
  if (cards.flatMap(addressesOf).some((own) => sameAddress(own, gateway)))
    throw invalidField(`${field}.gateway`, "must not be an address of the sandbox");
  const leads = (each: Wanted) =>
    each.card === card && each.gateway === undefined && !isWide(each) && contains(each.to, gateway);
  if (route.onlink || contains(V6_LINK_LOCAL, gateway) || all.some(leads)) return;
  throw invalidField(
    `${field}.gateway`,
    "must be on the link: set onlink, or add a route to it without a gateway by the same interface",
  );
}
