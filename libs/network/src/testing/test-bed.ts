/**
 * A host with a network for guests, two guests and a world outside, each a namespace of its own. Nothing is sent anywhere else.
 *
 *     guest 2 ─┐
 *              ├─ bridge [host] uplink ── outside: 198.51.100.2 and 2001:db8::2 (the world), 192.168.77.1 and fd00:77::1 (private)
 *     guest 3 ─┘
 *
 * The guests are joined by veth pairs in place of taps, because a tap needs a process behind it.
 */

import { formatAddress } from "../address.ts";
import { closedRules, forwardingKeys, planForwarding } from "../forwarding.ts";
import { HostReader } from "../host-reader.ts";
import { HostWriter } from "../host-writer.ts";
import { bridgeAdded, bridgeLines, bridgeSysctls, fdbLines, tapLines } from "../link-plan.ts";
import { type GuestInterface, gatewayOf, guestInterface, planNetwork } from "../node-network.ts";
import { addInterface, changeInterface, type InterfaceRules, ruleset } from "../ruleset.ts";
import { buildNetprobe, type Conversation, joinNamespaces, Namespace } from "./namespace.ts";

export const WORLD = { v4: "198.51.100.2", v6: "2001:db8::2" };
export const PRIVATE = { v4: "192.168.77.1", v6: "fd00:77::1" };
export const HOST = { v4: "198.51.100.1", v6: "2001:db8::1" };

/** What a new guest may do. */
export const plainRules = (guest: GuestInterface): InterfaceRules => ({
  guest,
  policy: { kind: "public" },
  dns: [],
  published: [],
  peers: [],
  sendBytesPerSecond: undefined,
});

export class Guest {
  readonly namespace: Namespace;
  readonly at: GuestInterface;
  rules: InterfaceRules;

  constructor(namespace: Namespace, at: GuestInterface) {
    this.namespace = namespace;
    this.at = at;
    this.rules = plainRules(at);
  }
}

export class TestBed implements AsyncDisposable {
  readonly network = planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/16", v6: "fd70:88::/64" });
  readonly gateway = gatewayOf(this.network);
  readonly host: Namespace;
  readonly outside: Namespace;
  readonly writer: HostWriter;
  readonly reader: HostReader;
  readonly #stack: AsyncDisposableStack;
  readonly #netprobe: string;

  private constructor(host: Namespace, outside: Namespace, netprobe: string, stack: AsyncDisposableStack) {
    this.host = host;
    this.outside = outside;
    this.writer = new HostWriter(host.runner);
    this.reader = new HostReader(host.runner);
    this.#netprobe = netprobe;
    this.#stack = stack;
  }

  /** A host with a network that no guest is on yet. */
  static async create(): Promise<TestBed> {
    await using stack = new AsyncDisposableStack();
    const netprobe = stack.use(await buildNetprobe());
    const host = stack.use(await Namespace.create());
    const outside = stack.use(await Namespace.create());
    await joinNamespaces([host, "uplink"], [outside, "eth0"]);
    await host.shell(`
      ip addr add ${HOST.v4}/24 dev uplink; ip addr add ${HOST.v6}/64 dev uplink nodad
      ip link set uplink mtu 1400 up; ip route add default via ${WORLD.v4}; ip -6 route add default via ${WORLD.v6}`);
    await outside.shell(`
      ip addr add ${WORLD.v4}/24 dev eth0; ip addr add ${WORLD.v6}/64 dev eth0 nodad
      ip addr add ${PRIVATE.v4}/24 dev eth0; ip addr add ${PRIVATE.v6}/64 dev eth0 nodad
      ip addr add 169.254.169.254/32 dev lo
      ip link set eth0 mtu 1400 up`);
    const bed = new TestBed(host, outside, netprobe.path, stack.move());
    await bed.#setUp();
    return bed;
  }

  async #setUp(): Promise<void> {
    const { network, writer, reader } = this;
    await writer.links([...bridgeAdded(network), ...bridgeLines(network, "test")]);
    await writer.sysctls(bridgeSysctls(network));
    const interfaces = await reader.interfaces();
    const waysOut = (await reader.waysOut()).map(({ name }) => name);
    const values = await reader.sysctls(forwardingKeys({ interfaces, waysOut }));
    const plan = planForwarding({ values, waysOut, interfaces }, { bridge: network.bridge, withV6: true });
    await writer.rules([...ruleset(network, []), ...closedRules(network.bridge, plan)]);
    await writer.sysctls(plan.set);
  }

  /** A guest on the network, with its addresses and routes, and the public policy. */
  async addGuest(index: number): Promise<Guest> {
    const { network, gateway, writer, host } = this;
    const namespace = this.#stack.use(await Namespace.create());
    const guest = new Guest(namespace, guestInterface(network, index));
    const { tap, mac, v4, v6 } = guest.at;
    if (v6 === undefined || gateway.v6 === undefined) throw new Error("the network of the test has IPv6");
    await joinNamespaces([host, tap], [namespace, "eth0"]);
    await writer.rules(addInterface(network, guest.rules));
    const [, ...lines] = tapLines(network, guest.at, { uid: 0, label: `guest-${index}` });
    await writer.links(lines);
    await writer.ports(fdbLines(guest.at));
    await namespace.shell(`
      ip link set eth0 address ${mac} mtu 1400 up
      ip addr add ${formatAddress(v4)}/32 dev eth0; ip addr add ${formatAddress(v6)}/128 dev eth0 nodad
      ip route add ${formatAddress(gateway.v4)} dev eth0; ip route add default via ${formatAddress(gateway.v4)}
      ip route add ${formatAddress(gateway.v6)} dev eth0; ip -6 route add default via ${formatAddress(gateway.v6)}`);
    return guest;
  }

  /** Changes what the rules say about a guest. */
  async change(guest: Guest, change: Partial<InterfaceRules>): Promise<void> {
    const after = { ...guest.rules, ...change };
    await this.writer.rules(changeInterface(this.network, guest.rules, after));
    guest.rules = after;
  }

  /** A server that answers TCP and UDP with what it receives. */
  async echo(namespace: Namespace, port: number): Promise<void> {
    this.#stack.use(await namespace.start(this.#netprobe, "echo", `${port}`));
  }

  /** The raw frames of an interface. */
  async raw(namespace: Namespace, name = "eth0"): Promise<Conversation> {
    return this.#stack.use(await namespace.start(this.#netprobe, "raw", name));
  }

  /** A connection that is told lines and prints the answers. */
  async connection(namespace: Namespace, [host, port]: readonly [string, number]): Promise<Conversation> {
    const script = `exec 3<>/dev/tcp/${host}/${port}; echo ready
      cat <&3 2>/dev/null & while IFS= read -r line; do echo "$line" >&3 || echo broken; done`;
    return this.#stack.use(await namespace.start("bash", "-c", script));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Whether a server's echo comes back within the time. */
export async function reaches(
  namespace: Namespace,
  [host, port, protocol = "tcp"]: readonly [string, number, ("tcp" | "udp")?],
  seconds = 4,
): Promise<boolean> {
  const script = `exec 3<>/dev/${protocol}/${host}/${port} && echo hello >&3 && test "$(head -c 6 <&3)" = hello`;
  return await namespace.shell(`timeout ${seconds} bash -c '${script}' 2>/dev/null`).then(
    () => true,
    () => false,
  );
}
