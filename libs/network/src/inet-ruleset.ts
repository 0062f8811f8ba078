/**
 * The table of the IP layer: what a guest's packets may reach, what reaches a guest, and how addresses are translated.
 *
 * The bridge's table has tied each address to its tap, so an address stands for an interface here. Each packet is judged by the
 * connection that it belongs to and by the policy that holds now: there is no rule that accepts what is established. A change of
 * policy therefore holds for open connections at once, in both directions, and nothing has to be removed from the connection table.
 *
 *   guest -> guest      if each has named the other
 *   outside -> guest    published ports
 *   guest -> outside    the policy of the guest (`leaving`), in both directions of the connection
 *   guest -> host       its DNS servers, if they are on the host, and answers to the host
 *
 * The policies that every node has are sets of addresses. A policy with rules has a chain, and an element of `rules4` and `rules6`.
 */

import { MAX_COUNTED } from "./bridge-ruleset.ts";
import { formatCidr } from "./cidr.ts";
import { HOST_RANGES, PRIVATE_RANGES } from "./egress-policy.ts";
import { type NodeNetwork, tapPrefix } from "./node-network.ts";

/** Connections that a guest may have open. The table of connections is one for the host. */
const MAX_CONNECTIONS = 8192;

/** How long a refused packet is listed after the last one of its kind. */
export const REFUSED_KEPT_SECONDS = 300;

const FAMILIES = [
  { n: 4, ip: "ip", type: "ipv4_addr" },
  { n: 6, ip: "ip6", type: "ipv6_addr" },
] as const;

type FamilyWords = (typeof FAMILIES)[number];

const braces = (title: string, lines: readonly string[]): readonly string[] => [
  `  ${title} {`,
  ...lines.map((line) => `    ${line}`),
  "  }",
];

const filled = (...lines: string[]): string[] => [`size ${MAX_COUNTED}`, "flags dynamic", ...lines];

const KEPT = [`size ${MAX_COUNTED}`, "flags dynamic,timeout", `timeout ${REFUSED_KEPT_SECONDS}s`, "counter"];

function sets({ n, type }: FamilyWords): readonly string[] {
  const ranges = (each: readonly string[]) => ["flags interval", `elements = { ${each.join(", ")} }`];
  return [
    ...braces(`set host_ranges${n}`, [`type ${type}`, ...ranges(HOST_RANGES[`v${n}`])]),
    ...braces(`set private_ranges${n}`, [`type ${type}`, ...ranges(PRIVATE_RANGES[`v${n}`])]),
    ...braces(`set public${n}`, [`type ${type}`]),
    ...braces(`set open${n}`, [`type ${type}`]),
    ...braces(`map rules${n}`, [`type ${type} : verdict`]),
    ...braces(`set dns${n}`, [`type ${type} . ${type}`]),
    ...braces(`set peers${n}`, [`type ${type} . ${type}`]),
    ...braces(`map published${n}`, [`type ${type} . inet_proto . inet_service : ${type} . inet_service`]),
    ...braces(`map published_any${n}`, [`type inet_proto . inet_service : ${type} . inet_service`]),
    ...braces(`set targets${n}`, [`type inet_proto . ${type} . inet_service`]),
    ...braces(`set connections${n}`, [`type ${type}`, ...filled()]),
    ...braces(`set refused_count${n}`, [`type ${type}`, ...filled("counter")]),
    ...braces(`set refused_pace${n}`, [`type ${type}`, ...filled()]),
    ...braces(`set refused_ports${n}`, [`type ${type} . ${type} . inet_proto . inet_service`, ...KEPT]),
    ...braces(`set refused_others${n}`, [`type ${type} . ${type} . inet_proto`, ...KEPT]),
  ];
}

const each = (rule: (family: FamilyWords) => string): readonly string[] => FAMILIES.map(rule);

const chains = (bridge: string): readonly string[] => [
  ...braces("chain refused", [
    ...each(({ n, ip }) => `update @refused_count${n} { ct original ${ip} saddr }`),
    "jump note_refused",
    "meta l4proto tcp reject with tcp reset",
    "reject with icmpx admin-prohibited",
  ]),
  "  # One guest must not fill the list: it has 20 entries at once, then one a second.",
  ...braces("chain note_refused", [
    ...each(
      ({ n, ip }) =>
        `update @refused_pace${n} { ct original ${ip} saddr limit rate over 1/second burst 20 packets } return`,
    ),
    ...each(
      ({ n, ip }) =>
        `meta l4proto { tcp, udp } ct direction reply update @refused_ports${n} { ${ip} daddr . ${ip} saddr . meta l4proto . th sport } return`,
    ),
    ...each(
      ({ n, ip }) =>
        `meta l4proto { tcp, udp } update @refused_ports${n} { ${ip} saddr . ${ip} daddr . meta l4proto . th dport } return`,
    ),
    ...each(
      ({ n, ip }) =>
        `ct direction original update @refused_others${n} { ${ip} saddr . ${ip} daddr . meta l4proto }`,
    ),
  ]),
  ...braces("chain open", [
    ...each(({ n, ip }) => `ct original ${ip} daddr @host_ranges${n} goto refused`),
    "accept",
  ]),
  ...braces("chain public", [
    ...each(({ n, ip }) => `ct original ${ip} daddr @private_ranges${n} goto refused`),
    "goto open",
  ]),
  ...braces("chain leaving", [
    ...each(({ n, ip }) => dnsRule(n, ip)),
    ...each(({ n, ip }) => `ct original ${ip} saddr @public${n} goto public`),
    ...each(({ n, ip }) => `ct original ${ip} saddr @open${n} goto open`),
    ...each(({ n, ip }) => `ct original ${ip} saddr vmap @rules${n}`),
    "goto refused",
  ]),
  ...braces("chain between", [
    ...each(
      ({ n, ip }) =>
        `ct original ${ip} saddr . ct original ${ip} daddr @peers${n} ct original ${ip} daddr . ct original ${ip} saddr @peers${n} accept`,
    ),
    "goto refused",
  ]),
  ...braces("chain arriving", [
    "ct status dnat ct state related meta l4proto { icmp, ipv6-icmp } accept",
    ...each(({ n, ip }) => `ct status dnat meta l4proto . ${ip} daddr . th dport @targets${n} accept`),
    "drop",
  ]),
  ...braces("chain answering", [
    "ct status dnat ct state related meta l4proto { icmp, ipv6-icmp } accept",
    ...each(({ n, ip }) => `ct status dnat meta l4proto . ${ip} saddr . th sport @targets${n} accept`),
    "drop",
  ]),
  ...braces("chain bounded", [
    ...each(
      ({ n, ip }) => `add @connections${n} { ${ip} saddr ct count over ${MAX_CONNECTIONS} } goto refused`,
    ),
  ]),
  "  # Interfaces between which the host did not forward before.",
  ...braces("chain closed", []),
  ...braces("chain forward", [
    "type filter hook forward priority 0; policy accept;",
    `iifname != "${bridge}" oifname != "${bridge}" goto closed`,
    "ct state invalid drop",
    `iifname "${bridge}" oifname "${bridge}" goto between`,
    `oifname "${bridge}" ct direction original goto arriving`,
    `iifname "${bridge}" ct direction reply goto answering`,
    `iifname "${bridge}" ct state new jump bounded`,
    "goto leaving",
  ]),
  ...braces("chain input", [
    "type filter hook input priority 0; policy accept;",
    `iifname != "${bridge}" accept`,
    "icmpv6 type nd-neighbor-solicit accept",
    "ct state invalid drop",
    "ct direction reply ct state { established, related } accept",
    "ct state new jump bounded",
    ...each(({ n, ip }) => dnsRule(n, ip)),
    "goto refused",
  ]),
];

const dnsRule = (n: 4 | 6, ip: string): string =>
  `meta l4proto { tcp, udp } ct original proto-dst 53 ct original ${ip} saddr . ct original ${ip} daddr @dns${n} accept`;

const translations: readonly string[] = [
  ...each(
    ({ n, ip }) =>
      `fib daddr type local dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @published${n}`,
  ),
  ...each(({ n, ip }) => `fib daddr type local dnat ${ip} to meta l4proto . th dport map @published_any${n}`),
];

/**
 * Addresses of guests that arrive from elsewhere are forged. A tap's packets arrive through the bridge, except frames to the group
 * address of LLDP, which no hook of the bridge sees.
 */
function entrance(network: NodeNetwork): readonly string[] {
  const { bridge, v4, v6 } = network;
  return braces("chain prerouting", [
    "type filter hook prerouting priority -300; policy accept;",
    `iifname "${tapPrefix(network)}*" update @spoofed { iifname } drop`,
    `iifname "${bridge}" ip daddr 127.0.0.0/8 drop`,
    `iifname != { "${bridge}", "lo" } ip saddr ${formatCidr(v4)} drop`,
    ...(v6 === undefined ? [] : [`iifname != { "${bridge}", "lo" } ip6 saddr ${formatCidr(v6)} drop`]),
  ]);
}

function exits({ bridge, v4, v6 }: NodeNetwork): readonly string[] {
  return [
    ...braces("chain published_from_outside", [
      "type nat hook prerouting priority -100; policy accept;",
      `iifname "${bridge}" accept`,
      ...translations,
    ]),
    ...braces("chain published_from_host", [
      "type nat hook output priority -100; policy accept;",
      ...translations,
    ]),
    ...braces("chain postrouting", [
      "type nat hook postrouting priority 100; policy accept;",
      `ip saddr ${formatCidr(v4)} oifname != "${bridge}" masquerade`,
      ...(v6 === undefined ? [] : [`ip6 saddr ${formatCidr(v6)} oifname != "${bridge}" masquerade`]),
      "# The host's own connections to a port published on its loopback address.",
      `oifname "${bridge}" ip saddr 127.0.0.0/8 masquerade`,
    ]),
  ];
}

export const inetTable = (network: NodeNetwork): readonly string[] => [
  `table inet ${network.bridge} {`,
  ...FAMILIES.flatMap(sets),
  ...braces("set spoofed", ["type ifname", ...filled("counter")]),
  ...chains(network.bridge),
  ...entrance(network),
  ...exits(network),
  "}",
];
