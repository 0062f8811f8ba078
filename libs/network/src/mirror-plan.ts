/**
 * A tap in the place of a link of somebody else's network namespace, as lines for `ip -batch` and `tc -batch` that run in the
 * namespace: what arrives by the link goes to the tap, and what the guest sends goes out by the link. The link keeps its addresses,
 * so that the namespace looks as its owner left it. The kernel's classifier is u32, because `matchall` is missing in many kernels.
 */
import type { TapOwner } from "./link-plan.ts";
import type { NetnsLink } from "./netns-links.ts";

const PREFIX = "paddock-";

/** The tap of a link. A link keeps its number as long as it exists, even when it gets another name. */
export const mirrorTap = ({ index }: Pick<NetnsLink, "index">): string => `${PREFIX}${index}`;

/** The number of the link behind a tap of this name; undefined if the name is not that of such a tap. */
export function linkOfMirror(tap: string): number | undefined {
  const digits = tap.startsWith(PREFIX) ? tap.slice(PREFIX.length) : "";
  return /^[1-9][0-9]{0,6}$/.test(digits) ? Number(digits) : undefined;
}

/** The tap, for `ip`. */
export function mirrorLines(link: NetnsLink, owner: TapOwner): readonly string[] {
  const tap = mirrorTap(link);
  return [
    `tuntap add dev ${tap} mode tap user ${owner.uid} group ${owner.uid} vnet_hdr`,
    `link set ${tap} mtu ${link.mtu} txqueuelen 1000 arp off addrgenmode none alias ${owner.label}`,
    `link set ${tap} up`,
  ];
}

/** Both directions, for `tc`. The kernel refuses the first line for a link that has an ingress queue already. */
export function mirrorQueues(link: NetnsLink): readonly string[] {
  const tap = mirrorTap(link);
  return [
    `qdisc add dev ${link.name} ingress`,
    `qdisc add dev ${tap} ingress`,
    redirect(tap, link.name),
    redirect(link.name, tap),
  ];
}

const redirect = (from: string, to: string): string =>
  `filter add dev ${from} ingress protocol all u32 match u32 0 0 action mirred egress redirect dev ${to}`;

/** Takes the redirection from a link, for `tc`. The tap's own goes with the tap. */
export const mirrorQueuesRemoved = ({ name }: Pick<NetnsLink, "name">): readonly string[] => [
  `qdisc delete dev ${name} ingress`,
];
