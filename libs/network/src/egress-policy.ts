/** What a guest may reach beyond its host. */
import { type Cidr, formatCidr } from "./cidr.ts";
import { NetworkError } from "./network-error.ts";

export type EgressPolicy =
  /** The world, without private, link-local and multicast ranges. */
  | { readonly kind: "public" }
  /** Everything but the ranges that belong to a host itself: loopback, link-local, metadata, multicast. */
  | { readonly kind: "open" }
  | { readonly kind: "none" }
  /** The first rule that matches decides; if none does, `otherwise` does. */
  | {
      readonly kind: "rules";
      readonly rules: readonly EgressRule[];
      readonly otherwise: "public" | "open" | "none";
    };

export type EgressRule = {
  readonly action: "allow" | "deny";
  /** Undefined: all addresses. */
  readonly to: Cidr | undefined;
  readonly protocol: "any" | "tcp" | "udp" | "icmp";
  /** Destination ports, both ends included. Undefined: all. */
  readonly ports: { readonly first: number; readonly last: number } | undefined;
};

/** The kernel compares rules one after the other for each packet. */
export const MAX_EGRESS_RULES = 256;

/** Throws `invalid` for a policy that has too many rules or a rule that contradicts itself. */
export function checkPolicy(policy: EgressPolicy): void {
  if (policy.kind !== "rules") return;
  if (policy.rules.length > MAX_EGRESS_RULES)
    throw new NetworkError(
      "invalid",
      `a policy has at most ${MAX_EGRESS_RULES} rules, this one has ${policy.rules.length}`,
    );
  policy.rules.forEach(checkRule);
}

function checkRule({ protocol, ports }: EgressRule, at: number): void {
  if (ports === undefined) return;
  const { first, last } = ports;
  if (![first, last].every((port) => Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw new NetworkError("invalid", `rule ${at}: a port is from 1 to 65535, not ${first}-${last}`);
  if (first > last)
    throw new NetworkError("invalid", `rule ${at}: the ports ${first}-${last} are in the wrong order`);
  if (protocol !== "tcp" && protocol !== "udp")
    throw new NetworkError("invalid", `rule ${at}: only tcp and udp have ports, not ${protocol}`);
}

/** Ranges that `open` refuses. They belong to a host itself, or are no single destination. */
export const HOST_RANGES = {
  v4: ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  // The last is the metadata service of a cloud, in a range that is otherwise private.
  v6: ["::/8", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128"],
} as const;

/**
 * Ranges that `public` refuses besides: the private ones of the IANA special-purpose registries. Of IPv6 only the
 * global unicast range 2000::/3 remains, without Teredo and 6to4, whose addresses contain an IPv4 address that the rules for IPv4
 * would not see. The documentation ranges are left alone: nothing is there.
 */
export const PRIVATE_RANGES = {
  v4: [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
  ],
  v6: ["::/3", "2001::/32", "2002::/16", "4000::/2", "8000::/1"],
} as const;

/**
 * The rules of a policy's chain. They match the addresses that the connection began with, so one list holds for both directions of
 * a connection, and for connections that were open before it.
 */
export function policyRules(policy: Extract<EgressPolicy, { kind: "rules" }>): readonly string[] {
  checkPolicy(policy);
  const end = policy.otherwise === "none" ? "goto refused" : `goto ${policy.otherwise}`;
  return [...policy.rules.flatMap(ruleLines), end];
}

function ruleLines({ action, to, protocol, ports }: EgressRule): readonly string[] {
  const destination =
    to === undefined ? "" : `ct original ${to.family === 4 ? "ip" : "ip6"} daddr ${formatCidr(to)} `;
  const carried = { any: "", tcp: "meta l4proto tcp ", udp: "meta l4proto udp ", icmp: "" }[protocol];
  const port = ports === undefined ? "" : `ct original proto-dst ${portText(ports)} `;
  const verdict = action === "allow" ? "accept" : "goto refused";
  if (protocol !== "icmp") return [`${destination}${carried}${port}${verdict}`];
  const kinds = to === undefined ? ["icmp", "ipv6-icmp"] : [to.family === 4 ? "icmp" : "ipv6-icmp"];
  return kinds.map((kind) => `${destination}meta l4proto ${kind} ${verdict}`);
}

const portText = ({ first, last }: { first: number; last: number }): string =>
  first === last ? `${first}` : `${first}-${last}`;
