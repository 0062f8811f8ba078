/** Routes in the words of `ip route`: `DEST [via GATEWAY] [dev INTERFACE] [src ADDRESS] [metric N] [scope SCOPE] [onlink]`. */
import { formatAddress, formatCidr } from "@paddock/network";
import { type Route, RouteScope } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { addressOf, rangeOf } from "./address-words.ts";

export type RouteWords = Pick<Route, "destination" | "gateway" | "source" | "metric" | "scope" | "onlink"> & {
  /** As it was given: an id, or a name in the guest. Empty if none was given. */
  readonly device: string;
};

const MAX_METRIC = 4_294_967_295;
/** The protocol takes so many for one sandbox. */
const MAX_ROUTES = 256;
const FORM = 'write such as "default via 10.0.0.1 dev eth0 onlink" or "10.9.0.0/16 dev eth1 metric 100"';

const SCOPES: ReadonlyMap<string, RouteScope> = new Map([
  ["global", RouteScope.GLOBAL],
  ["link", RouteScope.LINK],
  ["host", RouteScope.HOST],
]);

type Draft = { -readonly [Key in keyof RouteWords]: RouteWords[Key] };

const WORDS: Readonly<Record<string, (draft: Draft, value: string) => void>> = {
  via: (draft, value) => {
    draft.gateway = formatAddress(addressOf("via", value));
  },
  dev: (draft, value) => {
    draft.device = value;
  },
  src: (draft, value) => {
    draft.source = formatAddress(addressOf("src", value));
  },
  metric: (draft, value) => {
    if (!/^\d{1,10}$/.test(value) || Number(value) > MAX_METRIC)
      throw usageError(`metric: "${printable(value)}" is not a number from 0 to ${MAX_METRIC}`);
    draft.metric = Number(value);
  },
  scope: (draft, value) => {
    const scope = SCOPES.get(value);
    if (scope === undefined)
      throw usageError(`scope: "${printable(value)}" is not a scope`, 'write "global", "link" or "host"');
    draft.scope = scope;
  },
};

/**
 * The routes of operands, each one word or several: a destination begins the next route. Throws a usage error, also for a route with
 * addresses of both families.
 */
export function parseRoutes(operands: readonly string[]): RouteWords[] {
  const words = operands.flatMap((each) => each.split(/\s+/)).filter((word) => word !== "");
  const routes: RouteWords[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "onlink" || Object.hasOwn(WORDS, word))
      throw usageError(`there is no destination before "${word}"`, FORM);
    routes.push(parseRoute(word, words));
  }
  if (routes.length > MAX_ROUTES)
    throw usageError(`there are ${routes.length} routes, and a sandbox can have ${MAX_ROUTES}`);
  return routes;
}

/** Takes the words that belong to the destination. */
function parseRoute(destination: string, words: string[]): RouteWords {
  const scope = RouteScope.UNSPECIFIED;
  const draft: Draft = { destination, gateway: "", device: "", source: "", metric: 0, scope, onlink: false };
  const given = new Set<string>();
  for (let [word = ""] = words; word === "onlink" || Object.hasOwn(WORDS, word); [word = ""] = words) {
    words.shift();
    if (given.has(word)) throw usageError(`the route to ${printable(destination)} has "${word}" twice`, FORM);
    given.add(word);
    if (word === "onlink") {
      draft.onlink = true;
      continue;
    }
    const value = words.shift();
    if (value === undefined) throw usageError(`there is nothing after "${word}"`, FORM);
    WORDS[word]?.(draft, value);
  }
  return { ...draft, destination: destinationOf(draft) };
}

/** "default" is the IPv6 one when the gateway or the source is of IPv6. */
function destinationOf({ destination, gateway, source }: RouteWords): string {
  const isV6 = (gateway || source).includes(":");
  const range = rangeOf("route", destination !== "default" ? destination : isV6 ? "::/0" : "0.0.0.0/0");
  const mixed = [gateway, source].find((each) => each !== "" && each.includes(":") !== (range.family === 6));
  if (mixed !== undefined)
    throw usageError(
      `the route to ${destination} has ${mixed}, which is of the other family`,
      "a route is of IPv4 or of IPv6",
    );
  return formatCidr(range);
}

export const scopeText = (scope: RouteScope): string | undefined =>
  [...SCOPES].find(([, each]) => each === scope)?.[0];

/** A route in the words that `parseRoutes` takes. */
export function routeText({
  destination,
  gateway,
  interfaceId,
  source,
  metric,
  scope,
  onlink,
}: Route): string {
  const named = scopeText(scope);
  return [
    destination === "0.0.0.0/0" ? "default" : destination,
    ...(gateway === "" ? [] : ["via", gateway]),
    ...["dev", interfaceId],
    ...(source === "" ? [] : ["src", source]),
    ...(metric === 0 ? [] : ["metric", `${metric}`]),
    ...(named === undefined ? [] : ["scope", named]),
    ...(onlink ? ["onlink"] : []),
  ].join(" ");
}
