/**
 * The table of the bridge: which frames of a guest reach the host.
 *
 * It lists what may pass and drops the rest, so a form of packet that nobody thought of is dropped too. A guest may
 *
 *   - send IPv4 and IPv6 to the gateway's MAC address, from the MAC and IP addresses of its interface,
 *   - ask by ARP and by neighbour discovery for the gateway, and for nothing else.
 *
 * The sets have the names of taps as keys. The hook is the first of the bridge, before it learns a MAC address and before the
 * host's connection tracking. Frames to the group addresses 01:80:c2:00:00:0x go past that hook to the input hook.
 */
import { formatAddress } from "./address.ts";
import { gatewayOf, type NodeNetwork, tapPrefix } from "./node-network.ts";

/** Packets a second that ask for the gateway, of one interface. A kernel asks about once in 30 seconds. */
const ASKING_RATE = "limit rate over 20/second burst 40 packets";

/** Elements of a set that packets fill. */
export const MAX_COUNTED = 65_535;

const tapSet = (name: string) => [
  `  set ${name} {`,
  "    type ifname",
  `    size ${MAX_COUNTED}`,
  "    flags dynamic",
];

export function bridgeTable(network: NodeNetwork): readonly string[] {
  const gateway = gatewayOf(network);
  const taps = `"${tapPrefix(network)}*"`;
  const v4 = formatAddress(gateway.v4);
  return [
    `table bridge ${network.bridge} {`,
    "  set macs {",
    "    type ifname . ether_addr",
    "  }",
    "  set sources4 {",
    "    type ifname . ether_addr . ipv4_addr",
    "  }",
    "  set sources6 {",
    "    type ifname . ether_addr . ipv6_addr",
    "  }",
    "  map rates {",
    "    type ifname : limit",
    "  }",
    ...tapSet("spoofed"),
    "    counter",
    "  }",
    ...tapSet("over_rate"),
    "    counter",
    "  }",
    ...tapSet("asking"),
    "  }",
    "  chain spoofing {",
    "    update @spoofed { iifname } drop",
    "  }",
    "  chain slowing {",
    "    update @over_rate { iifname } drop",
    "  }",
    "  chain frame {",
    "    limit name iifname map @rates goto slowing",
    "    ether type { 8021q, 8021ad } goto spoofing",
    "    iifname . ether saddr != @macs goto spoofing",
    "    ether type arp goto address_request",
    `    ether daddr != ${gateway.mac} goto group`,
    "    ip daddr 127.0.0.0/8 goto spoofing",
    "    ether type ip iifname . ether saddr . ip saddr @sources4 accept",
    "    ether type ip6 iifname . ether saddr . ip6 saddr @sources6 accept",
    "    goto spoofing",
    "  }",
    "  chain address_request {",
    `    update @asking { iifname ${ASKING_RATE} } goto slowing`,
    "    arp htype != 1 goto spoofing",
    "    arp ptype != ip goto spoofing",
    "    # A kernel that tests whether its address is free sends no address of its own.",
    "    arp operation request iifname . arp saddr ether @macs arp saddr ip 0.0.0.0 drop",
    "    iifname . arp saddr ether . arp saddr ip != @sources4 goto spoofing",
    `    arp operation request arp daddr ip ${v4} accept`,
    "    arp operation request drop",
    "    goto spoofing",
    "  }",
    "  # Frames to anyone but the gateway. What a kernel sends by itself is dropped without being counted.",
    "  chain group {",
    ...neighbourRules(gateway.v6 === undefined ? undefined : gateway.v6.value),
    "    icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report, nd-router-solicit } drop",
    "    icmpv6 type nd-neighbor-solicit ip6 saddr :: drop",
    "    ip protocol igmp drop",
    "    goto spoofing",
    "  }",
    "  chain prerouting {",
    "    type filter hook prerouting priority -300; policy accept;",
    `    iifname ${taps} goto frame`,
    "  }",
    "  chain input {",
    "    type filter hook input priority 0; policy accept;",
    `    iifname ${taps} ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 goto spoofing`,
    "  }",
    "  # The ports are isolated anyway.",
    "  chain forward {",
    "    type filter hook forward priority 0; policy accept;",
    `    iifname ${taps} goto spoofing`,
    "  }",
    "}",
  ];
}

/** The target of a solicitation is 8 bytes after the start of its ICMPv6 header. */
function neighbourRules(gateway: bigint | undefined): readonly string[] {
  if (gateway === undefined) return [];
  const target = `@th,64,128 0x${gateway.toString(16).padStart(32, "0")}`;
  const asks = "icmpv6 type nd-neighbor-solicit ip6 hoplimit 255";
  return [
    `    icmpv6 type nd-neighbor-solicit update @asking { iifname ${ASKING_RATE} } goto slowing`,
    `    ${asks} ${target} iifname . ether saddr . ip6 saddr @sources6 accept`,
    "    icmpv6 type nd-neighbor-solicit iifname . ether saddr . ip6 saddr @sources6 drop",
  ];
}
