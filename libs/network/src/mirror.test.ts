/** A namespace of somebody else: what is read of it, and a tap in the place of its link. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { HostReader } from "./host-reader.ts";
import { HostWriter } from "./host-writer.ts";
import { linkOfMirror, mirrorLines, mirrorQueues, mirrorQueuesRemoved, mirrorTap } from "./mirror-plan.ts";
import { NETNS_BOUNDS, type NetnsLink, netnsNetwork } from "./netns-links.ts";
import { joinNamespaces, Namespace } from "./testing/index.ts";

const MAC = "02:00:00:00:00:07";

const resources = new AsyncDisposableStack();
let callers: Namespace;
let outside: Namespace;

before(async () => {
  callers = resources.use(await Namespace.create());
  outside = resources.use(await Namespace.create());
  await joinNamespaces([callers, "eth0"], [outside, "out0"]);
  await callers.shell(`
    ip link set eth0 address ${MAC} mtu 1400 up
    ip addr add 10.9.0.2/24 dev eth0; ip addr add fd00:9::2/64 dev eth0 nodad
    ip route add default via 10.9.0.1; ip -6 route add default via fd00:9::1
    ip route add 10.77.0.0/16 via 192.168.5.1 dev eth0 onlink metric 50; ip route add 10.78.0.1 dev eth0 src 10.9.0.2
    ip route add blackhole 10.79.0.0/16
    ip neigh add 10.9.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
    ip link add name lone type veth peer name lone1; ip link set lone up
    ip link add bridge0 type bridge; ip addr add 10.8.0.1/24 dev bridge0; ip link set bridge0 up`);
  await outside.shell(`
    ip link set out0 address 02:00:00:00:00:01 mtu 1400 up
    ip addr add 10.9.0.1/24 dev out0; ip addr add fd00:9::1/64 dev out0 nodad`);
});

after(() => resources.disposeAsync());

const read = () => new HostReader(callers.runner).netns();

async function onlyLink(): Promise<NetnsLink> {
  const { links } = await read();
  const [link] = links;
  assert.ok(link !== undefined && links.length === 1);
  return link;
}

test("a link with an address is found with its routes and neighbours, and no bridge, bare link or loopback", async () => {
  const { links, routes, neighbours } = await read();
  assert.deepEqual(
    links.map(({ index: _, ...link }) => link),
    [{ name: "eth0", mac: MAC, mtu: 1400, addresses: ["10.9.0.2/24", "fd00:9::2/64"] }],
  );
  const plain = { link: "eth0", gateway: undefined, source: undefined, metric: 0, onlink: false };
  assert.deepEqual(routes, [
    { ...plain, destination: "0.0.0.0/0", gateway: "10.9.0.1", scope: "global" },
    {
      ...plain,
      destination: "10.77.0.0/16",
      gateway: "192.168.5.1",
      metric: 50,
      scope: "global",
      onlink: true,
    },
    { ...plain, destination: "10.78.0.1/32", source: "10.9.0.2", scope: "link" },
    { ...plain, destination: "::/0", gateway: "fd00:9::1", metric: 1024, scope: "global" },
  ]);
  assert.deepEqual(neighbours, [{ link: "eth0", address: "10.9.0.1", mac: "02:00:00:00:00:01" }]);
});

test("what stands behind the tap of a link is in the place of the link, by IPv4 and IPv6", async () => {
  const link = await onlyLink();
  const guest = resources.use(await Namespace.create());
  // In place of QEMU: a namespace on a cable that has the name of the tap.
  await joinNamespaces([callers, mirrorTap(link)], [guest, "eth0"]);
  await callers.shell(`ip link set ${mirrorTap(link)} mtu 1400 arp off addrgenmode none up`);
  const writer = new HostWriter(callers.runner);
  await writer.queues(mirrorQueues(link));
  await guest.shell(`
    ip link set eth0 address ${MAC} mtu 1400 up
    ip addr add 10.9.0.2/24 dev eth0; ip addr add fd00:9::2/64 dev eth0 nodad`);
  for (const address of ["10.9.0.1", "fd00:9::1"])
    await guest.shell(`busybox ping -c 2 -W 5 ${address} >/dev/null`);
  await outside.shell("busybox ping -c 1 -W 5 10.9.0.2 >/dev/null");
  await writer.queues(mirrorQueuesRemoved(link));
  await assert.rejects(guest.shell("busybox ping -c 1 -W 1 10.9.0.1"));
  await callers.shell(`ip link delete ${mirrorTap(link)}`);
  assert.equal((await callers.shell("tc qdisc show ingress")).trim(), "");
});

test("the tap of a link is its user's, and is no link of the namespace", async () => {
  const link = await onlyLink();
  const writer = new HostWriter(callers.runner);
  await writer.links(mirrorLines(link, { uid: 700001, label: "0123456789abcdef" }));
  await callers.shell(`ip addr add 10.7.0.1/24 dev ${mirrorTap(link)}`);
  assert.match(
    await callers.shell(`ip -d link show ${mirrorTap(link)}`),
    /mtu 1400[\s\S]*user 700001 group 700001[\s\S]*alias 0123456789abcdef/,
  );
  assert.equal((await onlyLink()).name, "eth0");
  await callers.shell(`ip link delete ${mirrorTap(link)}`);
});

test("a link that has an ingress queue of somebody else is refused, and the queue stays", async () => {
  const link = await onlyLink();
  await callers.shell("tc qdisc add dev eth0 clsact");
  await assert.rejects(new HostWriter(callers.runner).queues(mirrorQueues(link)), { kind: "refused" });
  assert.match(await callers.shell("tc qdisc show dev eth0"), /clsact/);
});

test("a namespace with more links than a guest can have is refused", () => {
  const link = (ifindex: number) => ({
    ...{ ifname: `eth${ifindex}`, ifindex, link_type: "ether", flags: ["UP"], address: MAC, mtu: 1500 },
    addr_info: [{ scope: "global", local: "10.0.0.1", prefixlen: 24 }],
  });
  const listings = (count: number) => ({
    addresses: Array.from({ length: count }, (_, index) => link(index + 1)),
    ...{ routes4: [], routes6: [], neighbours: [] },
  });
  assert.equal(netnsNetwork(listings(NETNS_BOUNDS.links)).links.length, NETNS_BOUNDS.links);
  assert.throws(() => netnsNetwork(listings(NETNS_BOUNDS.links + 1)), { kind: "exhausted" });
});

test("only the name of a link's tap leads back to the link", () => {
  assert.equal(linkOfMirror(mirrorTap({ index: 12 })), 12);
  for (const name of ["eth0", "paddock-", "paddock-x", "paddock-012", "paddock0-5"])
    assert.equal(linkOfMirror(name), undefined);
});
