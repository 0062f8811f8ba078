/** The rules of a node and their changes, as text for `nft -f`. Each text is applied whole or not at all. */
import { type Address, type Family, formatAddress } from "./address.ts";
import { bridgeTable } from "./bridge-ruleset.ts";
import { type EgressPolicy, policyRules } from "./egress-policy.ts";
import { inetTable } from "./inet-ruleset.ts";
import { linkLocalOf } from "./mac.ts";
import type { GuestInterface, NodeNetwork } from "./node-network.ts";

/** What the rules say about one interface. */
export type InterfaceRules = {
  readonly guest: GuestInterface;
  readonly policy: EgressPolicy;
  /** DNS servers that the guest may ask under every policy but `none`. */
  readonly dns: readonly Address[];
  readonly published: readonly Publication[];
  /** Guests of the node that this one names. Two guests may talk to each other if both name the other. */
  readonly peers: readonly Address[];
  /** What the guest may send, in bytes a second. */
  readonly sendBytesPerSecond: number | undefined;
};

/** A port of the host that leads to a port of the guest. */
export type Publication = {
  readonly family: Family;
  /** Undefined: all addresses of the host. */
  readonly hostAddress: Address | undefined;
  readonly protocol: "tcp" | "udp";
  readonly hostPort: number;
  readonly guestPort: number;
};

type Element = { readonly set: string; readonly of: "bridge" | "inet"; readonly text: string };

/** The whole ruleset with its interfaces, in place of the one that is there. */
export const ruleset = (network: NodeNetwork, interfaces: readonly InterfaceRules[]): readonly string[] => [
  ...removeRuleset(network),
  ...bridgeTable(network),
  ...inetTable(network),
  ...interfaces.flatMap((each) => addInterface(network, each)),
];

/** Removes the tables, whether or not they are there. */
export const removeRuleset = ({ bridge }: NodeNetwork): readonly string[] =>
  ["bridge", "inet"].flatMap((family) => [
    `add table ${family} ${bridge}`,
    `delete table ${family} ${bridge}`,
  ]);

/** Lets an interface take part. Nothing of its packets passes before. */
export const addInterface = (network: NodeNetwork, rules: InterfaceRules): readonly string[] => [
  ...rateAdded(network, rules),
  ...chainFilled(network, rules),
  ...elementsOf(rules).map((each) => elementLine("add", network, each)),
];

/**
 * Takes back what `addInterface` added, all of it or what is there of it. An element is added before it is deleted: nft has no command
 * that deletes what may be missing, and refuses a text in which one line fails.
 */
export const removeInterface = (network: NodeNetwork, rules: InterfaceRules): readonly string[] => [
  ...rateAdded(network, rules),
  ...(rules.policy.kind === "rules" ? [`add chain inet ${network.bridge} ${chainOf(rules)}`] : []),
  ...elementsOf(rules).flatMap((each) => [
    elementLine("add", network, each),
    elementLine("delete", network, each),
  ]),
  ...chainRemoved(network, rules),
  ...rateRemoved(network, rules),
];

/** Changes what the rules say about an interface, and nothing else: what stays keeps its counters. */
export function changeInterface(
  network: NodeNetwork,
  before: InterfaceRules,
  after: InterfaceRules,
): readonly string[] {
  const newRate = before.sendBytesPerSecond !== after.sendBytesPerSecond;
  const texts = (rules: InterfaceRules) =>
    new Map(
      elementsOf(rules)
        .filter(({ set }) => set !== "rates" || newRate)
        .map((each) => [`${each.set} ${each.text}`, each]),
    );
  const [old, wanted] = [texts(before), texts(after)];
  const isRate = ({ set }: Element) => set === "rates";
  const gone = [...old].filter(([key, each]) => !wanted.has(key) || isRate(each)).map(([, each]) => each);
  const added = [...wanted].filter(([key, each]) => !old.has(key) || isRate(each)).map(([, each]) => each);
  return [
    ...gone.map((each) => elementLine("delete", network, each)),
    ...(after.policy.kind === "rules" ? chainFilled(network, after) : chainRemoved(network, before)),
    ...(newRate ? [...rateRemoved(network, before), ...rateAdded(network, after)] : []),
    ...added.map((each) => elementLine("add", network, each)),
  ];
}

/** A guest's consent to talk to another one: `from` names `to`. Both directions are needed. */
export type PeerPair = { readonly from: Address; readonly to: Address };

/** Adds elements of pairs. Safe to repeat. */
export const peersAdded = (network: NodeNetwork, pairs: readonly PeerPair[]): readonly string[] =>
  pairs.map((pair) => elementLine("add", network, peerElement(pair)));

/** Takes back what `peersAdded` added, all of it or what is there of it. */
export const peersRemoved = (network: NodeNetwork, pairs: readonly PeerPair[]): readonly string[] =>
  pairs.flatMap((pair) => [
    elementLine("add", network, peerElement(pair)),
    elementLine("delete", network, peerElement(pair)),
  ]);

const peerElement = ({ from, to }: PeerPair): Element => ({
  of: "inet",
  set: `peers${from.family}`,
  text: `${formatAddress(from)} . ${formatAddress(to)}`,
});

const elementLine = (verb: "add" | "delete", { bridge }: NodeNetwork, { of, set, text }: Element): string =>
  `${verb} element ${of} ${bridge} ${set} { ${text} }`;

const chainOf = ({ guest }: InterfaceRules): string => `rules-${guest.tap}`;

const chainFilled = (network: NodeNetwork, rules: InterfaceRules): readonly string[] =>
  rules.policy.kind === "rules"
    ? [
        `add chain inet ${network.bridge} ${chainOf(rules)}`,
        `flush chain inet ${network.bridge} ${chainOf(rules)}`,
        ...policyRules(rules.policy).map(
          (rule) => `add rule inet ${network.bridge} ${chainOf(rules)} ${rule}`,
        ),
      ]
    : [];

const chainRemoved = ({ bridge }: NodeNetwork, rules: InterfaceRules): readonly string[] =>
  rules.policy.kind === "rules"
    ? [`flush chain inet ${bridge} ${chainOf(rules)}`, `delete chain inet ${bridge} ${chainOf(rules)}`]
    : [];

/**
 * A tenth of a second, and at least two of the largest packets. The kernel adds a second to it (`nft_limit_init`), so a guest that was
 * idle may at once send what it is allowed in 1.1 seconds.
 */
const burstBytes = (bytesPerSecond: number): number => Math.max(131_072, Math.ceil(bytesPerSecond / 10));

const rateAdded = ({ bridge }: NodeNetwork, { guest, sendBytesPerSecond: rate }: InterfaceRules) =>
  rate === undefined
    ? []
    : [
        `add limit bridge ${bridge} ${guest.tap} { rate over ${rate} bytes/second burst ${burstBytes(rate)} bytes; }`,
      ];

const rateRemoved = ({ bridge }: NodeNetwork, { guest, sendBytesPerSecond: rate }: InterfaceRules) =>
  rate === undefined ? [] : [`delete limit bridge ${bridge} ${guest.tap}`];

/** All elements of sets and maps that an interface has. */
function elementsOf(rules: InterfaceRules): readonly Element[] {
  const { guest, policy, dns, published, peers, sendBytesPerSecond } = rules;
  const { tap, mac } = guest;
  const bridge = (set: string, text: string): Element => ({ of: "bridge", set, text });
  const inet = (set: string, text: string): Element => ({ of: "inet", set, text });
  const addresses = [guest.v4, ...(guest.v6 === undefined ? [] : [guest.v6])];
  const sources = [...addresses, ...(guest.v6 === undefined ? [] : [linkLocalOf(mac)])];
  return [
    bridge("macs", `${tap} . ${mac}`),
    ...sources.map((each) => bridge(`sources${each.family}`, `${tap} . ${mac} . ${formatAddress(each)}`)),
    ...(sendBytesPerSecond === undefined ? [] : [bridge("rates", `${tap} : "${tap}"`)]),
    ...addresses.flatMap((each) => policyElement(rules, each)),
    ...addresses.flatMap((each) =>
      policy.kind === "none"
        ? []
        : dns
            .filter(({ family }) => family === each.family)
            .map((server) => inet(`dns${each.family}`, `${formatAddress(each)} . ${formatAddress(server)}`)),
    ),
    ...addresses.flatMap((each) =>
      published
        .filter(({ family }) => family === each.family)
        .flatMap((port) => publishedElements(each, port)),
    ),
    ...addresses.flatMap((each) =>
      peers
        .filter(({ family }) => family === each.family)
        .map((peer) => peerElement({ from: each, to: peer })),
    ),
  ];
}

function policyElement(rules: InterfaceRules, address: Address): readonly Element[] {
  const { kind } = rules.policy;
  const text = formatAddress(address);
  switch (kind) {
    case "none":
      return [];
    case "public":
    case "open":
      return [{ of: "inet", set: `${kind}${address.family}`, text }];
    case "rules":
      return [{ of: "inet", set: `rules${address.family}`, text: `${text} : goto ${chainOf(rules)}` }];
    default:
      return kind satisfies never;
  }
}

function publishedElements(guest: Address, port: Publication): readonly Element[] {
  const { family, hostAddress, protocol, hostPort, guestPort } = port;
  const address = formatAddress(guest);
  const key = `${protocol} . ${hostPort}`;
  const target = `${address} . ${guestPort}`;
  return [
    hostAddress === undefined
      ? { of: "inet", set: `published_any${family}`, text: `${key} : ${target}` }
      : {
          of: "inet",
          set: `published${family}`,
          text: `${formatAddress(hostAddress)} . ${key} : ${target}`,
        },
    { of: "inet", set: `targets${family}`, text: `${protocol} . ${address} . ${guestPort}` },
  ];
}
