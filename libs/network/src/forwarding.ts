/**
 * The host's forwarding switches: what to turn on, and how to turn it off again.
 *
 * Only what is needed is turned on. IPv4 has a switch for each interface, so only the bridge and the host's ways out are changed.
 * IPv6 has one for all; it also makes the kernel ignore router advertisements, unless `accept_ra` is 2. Where the host did not forward
 * before, the rules drop what guests have no part in, so that the host does not become a router for others.
 */
import type { Sysctl } from "./link-plan.ts";

export type ForwardingState = {
  /** Values of the keys in `forwardingKeys`; a key that the kernel does not have is missing. */
  readonly values: ReadonlyMap<string, string>;
  /** Interfaces with a default route. */
  readonly waysOut: readonly string[];
  /** All interfaces of the host. */
  readonly interfaces: readonly string[];
};

export type ForwardingPlan = {
  readonly set: readonly Sysctl[];
  /** In the order in which they are to be written. */
  readonly restore: readonly Sysctl[];
  /** Interfaces that did not forward IPv4 before. */
  readonly openedV4: readonly string[];
  /** Whether the host did not forward IPv6 before. */
  readonly openedV6: boolean;
};

const v4Switch = (name: string) => `net/ipv4/conf/${name}/forwarding`;
const acceptRa = (name: string) => `net/ipv6/conf/${name}/accept_ra`;
const V6_SWITCH = "net/ipv6/conf/all/forwarding";

/** The settings that a plan depends on. */
export const forwardingKeys = ({
  waysOut,
  interfaces,
}: Pick<ForwardingState, "waysOut" | "interfaces">): readonly string[] => [
  ...waysOut.map(v4Switch),
  V6_SWITCH,
  ...interfaces.map(acceptRa),
];

export function planForwarding(
  { values, waysOut, interfaces }: ForwardingState,
  { bridge, withV6 }: { readonly bridge: string; readonly withV6: boolean },
): ForwardingPlan {
  const openedV4 = waysOut.filter((name) => values.get(v4Switch(name)) === "0");
  const openedV6 = withV6 && values.get(V6_SWITCH) === "0";
  const hearing = openedV6 ? interfaces.filter((name) => values.get(acceptRa(name)) === "1") : [];
  const changes = [
    // First, so that no advertisement is missed in between.
    ...hearing.map((name) => ({ key: acceptRa(name), on: "2", off: "1" })),
    ...openedV4.map((name) => ({ key: v4Switch(name), on: "1", off: "0" })),
    ...(openedV6 ? [{ key: V6_SWITCH, on: "1", off: "0" }] : []),
  ];
  return {
    set: [{ key: v4Switch(bridge), value: "1" }, ...changes.map(({ key, on }) => ({ key, value: on }))],
    restore: changes.toReversed().map(({ key, off }) => ({ key, value: off })),
    openedV4,
    openedV6,
  };
}

/** The rules for interfaces that forward only because of the guests, for `nft -f`. */
export const closedRules = (
  bridge: string,
  { openedV4, openedV6 }: Pick<ForwardingPlan, "openedV4" | "openedV6">,
): readonly string[] => [
  `flush chain inet ${bridge} closed`,
  ...openedV4.map((name) => `add rule inet ${bridge} closed meta nfproto ipv4 iifname "${name}" drop`),
  ...(openedV6 ? [`add rule inet ${bridge} closed meta nfproto ipv6 drop`] : []),
];
