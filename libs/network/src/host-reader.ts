/** Reads back what is on the host: taps, elements, counters, the ways out. */
import { type Address, parseAddress } from "./address.ts";
import { REFUSED_KEPT_SECONDS } from "./inet-ruleset.ts";
import { array, each, number, record, string } from "./json.ts";
import { type Mac, parseMac } from "./mac.ts";
import { type NetnsNetwork, netnsNetwork } from "./netns-links.ts";
import { indexOfTap, type NodeNetwork } from "./node-network.ts";
import type { RunCommand } from "./run-command.ts";

/** A tap of the network, as the kernel has it. */
export type FoundTap = { readonly tap: string; readonly index: number; readonly label: string };

/** A link with the label that its maker gave it. */
export type LabelledLink = { readonly name: string; readonly index: number; readonly label: string };

/** A way out of the host: an interface with a default route. */
export type WayOut = { readonly name: string; readonly mtu: number };

/** A count of packets and their bytes. */
export type Count = { readonly packets: number; readonly bytes: number };

/** A packet that the policy refused: the last one of its kind, and how many there were. */
export type RefusedPacket = {
  readonly from: Address;
  readonly to: Address;
  /** Name or number of the protocol: `tcp`, `udp`, `icmp`, `ipv6-icmp`, `47`. */
  readonly protocol: string;
  /** Destination port; undefined for a protocol without ports. */
  readonly port: number | undefined;
  readonly packets: number;
  readonly secondsAgo: number;
};

export class HostReader {
  readonly #run: RunCommand;

  constructor(run: RunCommand) {
    this.#run = run;
  }

  /** The names of all interfaces. */
  async interfaces(signal?: AbortSignal): Promise<readonly string[]> {
    const links = await this.#json({ program: "ip", args: ["-j", "link", "show"] }, signal);
    return array(links).map((link) => string(record(link).ifname));
  }

  /** Whose bridge it is; undefined if there is none of that name. */
  async bridgeLabel(
    { bridge }: Pick<NodeNetwork, "bridge">,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const links = await this.#json({ program: "ip", args: ["-j", "link", "show"] }, signal);
    const found = array(links).find((link) => record(link).ifname === bridge);
    return found === undefined ? undefined : string(record(found).ifalias);
  }

  /** The ranges that the host has routes to, but for default routes and those of this bridge. */
  async routedRanges(
    { bridge }: Pick<NodeNetwork, "bridge">,
    signal?: AbortSignal,
  ): Promise<readonly string[]> {
    const tables = await Promise.all(
      ["-4", "-6"].map((family) =>
        this.#json({ program: "ip", args: ["-j", family, "route", "show"] }, signal),
      ),
    );
    return tables
      .flatMap(array)
      .map(record)
      .filter(({ dev }) => dev !== bridge)
      .map(({ dst }) => string(dst))
      .filter((range) => range.includes("/"));
  }

  /** The taps of the network. */
  async taps(network: NodeNetwork, signal?: AbortSignal): Promise<readonly FoundTap[]> {
    const links = await this.#json({ program: "ip", args: ["-j", "link", "show"] }, signal);
    return array(links).flatMap((link) => {
      const { ifname, ifalias } = record(link);
      const tap = string(ifname);
      const index = indexOfTap(network, tap);
      return index === undefined ? [] : [{ tap, index, label: string(ifalias) }];
    });
  }

  /** The interfaces with a default route, the preferred one first. */
  async waysOut(signal?: AbortSignal): Promise<readonly WayOut[]> {
    const [v4, v6, links] = await Promise.all([
      this.#json({ program: "ip", args: ["-j", "-4", "route", "show", "default"] }, signal),
      this.#json({ program: "ip", args: ["-j", "-6", "route", "show", "default"] }, signal),
      this.#json({ program: "ip", args: ["-j", "link", "show"] }, signal),
    ]);
    const mtus = new Map(
      array(links).map((link) => [string(record(link).ifname), number(record(link).mtu)] as const),
    );
    const names = [...routes(v4), ...routes(v6)].sort((a, b) => a.metric - b.metric).map(({ dev }) => dev);
    return [...new Set(names)].flatMap((name) => {
      const mtu = mtus.get(name);
      return mtu === undefined ? [] : [{ name, mtu }];
    });
  }

  /** The network that somebody set up in the namespace in which the programs run. Throws `exhausted`, see `netnsNetwork`. */
  async netns(signal?: AbortSignal): Promise<NetnsNetwork> {
    const ip = (...args: string[]) => this.#json({ program: "ip", args: ["-j", ...args] }, signal);
    const [addresses, routes4, routes6, neighbours] = await Promise.all([
      ip("-d", "address", "show"),
      ip("-4", "route", "show", "table", "main"),
      ip("-6", "route", "show", "table", "main"),
      ip("neighbor", "show", "nud", "permanent"),
    ]);
    return netnsNetwork({ addresses, routes4, routes6, neighbours });
  }

  /** All links with their numbers and their labels, which are empty for links without one. */
  async links(signal?: AbortSignal): Promise<readonly LabelledLink[]> {
    const links = await this.#json({ program: "ip", args: ["-j", "link", "show"] }, signal);
    return array(links)
      .map(record)
      .map(({ ifname, ifindex, ifalias }) => ({
        name: string(ifname),
        index: number(ifindex),
        label: string(ifalias),
      }));
  }

  /** Where the filters of a link's ingress queue send packets, each by the name of the link, or empty for one that does something else. */
  async ingressTargets(link: string, signal?: AbortSignal): Promise<readonly string[]> {
    const args = ["-j", "filter", "show", "dev", link, "ingress"];
    const filters = await this.#json({ program: "tc", args }, signal);
    return array(filters)
      .map((filter) => record(record(filter).options))
      .filter(({ actions }) => actions !== undefined)
      .map(({ actions }) => string(record(array(actions)[0]).to_dev));
  }

  /** The values of the settings; one that the kernel does not have is missing. */
  async sysctls(keys: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const printed = await this.#run({ program: "sysctl", args: ["-e", ...keys] }, signal);
    const values = printed.split("\n").map((line) => line.split(" = "));
    const dotted = new Map(values.map(([key = "", value = ""]) => [key, value]));
    return new Map(
      keys.flatMap((key) => {
        const value = dotted.get(shown(key));
        return value === undefined ? [] : [[key, value] as const];
      }),
    );
  }

  /** The MAC address of each tap in the bridge's table. */
  async macs({ bridge }: NodeNetwork, signal?: AbortSignal): Promise<ReadonlyMap<string, Mac>> {
    const elements = await this.#elements(["bridge", bridge, "macs"], signal);
    return new Map(elements.map(({ key: [tap = "", mac = ""] }) => [tap, parseMac(mac)]));
  }

  /** Frames of a guest that claimed to be someone else, by tap. */
  async spoofed({ bridge }: NodeNetwork, signal?: AbortSignal): Promise<ReadonlyMap<string, Count>> {
    const found = await Promise.all(
      ["bridge", "inet"].map((family) => this.#elements([family, bridge, "spoofed"], signal)),
    );
    return countsByKey(found.flat());
  }

  /** Packets that the policy refused, by the guest's address. */
  async refused({ bridge }: NodeNetwork, signal?: AbortSignal): Promise<ReadonlyMap<string, Count>> {
    const found = await Promise.all(
      [4, 6].map((family) => this.#elements(["inet", bridge, `refused_count${family}`], signal)),
    );
    return countsByKey(found.flat());
  }

  /** The refused packets of the last minutes, the last first. */
  async refusedPackets({ bridge }: NodeNetwork, signal?: AbortSignal): Promise<readonly RefusedPacket[]> {
    const sets = [4, 6].flatMap((family) => [`refused_ports${family}`, `refused_others${family}`]);
    const found = await Promise.all(sets.map((set) => this.#elements(["inet", bridge, set], signal)));
    return found
      .flat()
      .flatMap(({ key: [from = "", to = "", protocol = "", port], packets, expires }) => {
        const [source, target] = [parseAddress(from), parseAddress(to)];
        if (source === undefined || target === undefined) return [];
        const secondsAgo = Math.max(0, REFUSED_KEPT_SECONDS - expires);
        return [
          {
            from: source,
            to: target,
            protocol: PROTOCOLS.get(protocol) ?? protocol,
            port: port === undefined ? undefined : Number(port),
            packets,
            secondsAgo,
          },
        ];
      })
      .sort((a, b) => a.secondsAgo - b.secondsAgo);
  }

  /** All rules of the host, other programs' included, as `nft -j` prints them. */
  async allRules(signal?: AbortSignal): Promise<readonly unknown[]> {
    const printed = await this.#json({ program: "nft", args: ["-j", "list", "ruleset"] }, signal);
    return array(record(printed).nftables);
  }

  async #elements(path: readonly string[], signal?: AbortSignal): Promise<readonly Found[]> {
    const args = ["-j", "-n", "list", "set", ...path];
    const printed = await this.#json({ program: "nft", args }, signal);
    return each(record(printed).nftables, "set").flatMap((set) => array(set.elem).map(foundElement));
  }

  async #json(command: Parameters<RunCommand>[0], signal?: AbortSignal): Promise<unknown> {
    const printed = await this.#run(command, signal);
    return printed.trim() === "" ? [] : JSON.parse(printed);
  }
}

type Found = Count & {
  readonly key: readonly string[];
  readonly expires: number;
};

const PROTOCOLS = new Map([
  ["1", "icmp"],
  ["6", "tcp"],
  ["17", "udp"],
  ["58", "ipv6-icmp"],
]);

/** An element is its key, or an object that has the key, a counter and the time that is left. */
function foundElement(printed: unknown): Found {
  const wrapped = record(record(printed).elem);
  const value = "val" in wrapped ? wrapped.val : printed;
  const parts = record(value).concat;
  const { packets, bytes } = record(wrapped.counter);
  return {
    key: (parts === undefined ? [value] : array(parts)).map((part) => String(part)),
    packets: number(packets),
    bytes: number(bytes),
    expires: number(wrapped.expires),
  };
}

function countsByKey(elements: readonly Found[]): ReadonlyMap<string, Count> {
  const counts = new Map<string, Count>();
  for (const { key, packets, bytes } of elements) {
    const [first = ""] = key;
    const other = counts.get(first);
    counts.set(first, {
      packets: packets + (other?.packets ?? 0),
      bytes: bytes + (other?.bytes ?? 0),
    });
  }
  return counts;
}

const routes = (printed: unknown) =>
  array(printed).map((route) => {
    const { dev, metric } = record(route);
    return { dev: string(dev), metric: number(metric) };
  });

/** `sysctl` prints dots for slashes, and slashes for the dots in an interface's name. */
const shown = (key: string): string =>
  [...key].map((each) => (each === "/" ? "." : each === "." ? "/" : each)).join("");
