import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { receiveRateLines } from "./bandwidth.ts";
import { forwardingKeys, planForwarding } from "./forwarding.ts";
import { HostReader } from "./host-reader.ts";
import { HostWriter } from "./host-writer.ts";
import {
  bridgeAdded,
  bridgeLines,
  bridgeRemoved,
  bridgeSysctls,
  fdbLines,
  neighboursRemoved,
  tapLines,
  tapRemoved,
} from "./link-plan.ts";
import { guestInterface, planNetwork } from "./node-network.ts";
import { Namespace } from "./testing/namespace.ts";

const network = planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/16", v6: "fd70:88::/64" });
const guest = guestInterface(network, 5);
const owner = { uid: 700_005, label: "0123456789abcdef" };

let host: Namespace;
let writer: HostWriter;
let reader: HostReader;

before(async () => {
  host = await Namespace.create();
  writer = new HostWriter(host.runner);
  reader = new HostReader(host.runner);
});

after(async () => {
  await host[Symbol.asyncDispose]();
});

test("a tap belongs to its user, and its port is isolated, learns nothing and is flooded with nothing", () => {
  assert.deepEqual(tapLines(network, guest, owner), [
    "tuntap add dev paddock0-5 mode tap user 700005 group 700005 vnet_hdr",
    "link set paddock0-5 mtu 1400 txqueuelen 1000 arp off addrgenmode none alias 0123456789abcdef",
    "link set paddock0-5 master paddock0",
    "link set paddock0-5 type bridge_slave isolated on learning off flood off mcast_flood off bcast_flood off neigh_suppress on mcast_router 0 guard on root_block on",
    "neighbor replace 10.88.0.5 lladdr 02:50:0a:58:00:05 dev paddock0 nud permanent",
    "neighbor replace fd70:88::5 lladdr 02:50:0a:58:00:05 dev paddock0 nud permanent",
    "neighbor replace fe80::50:aff:fe58:5 lladdr 02:50:0a:58:00:05 dev paddock0 nud permanent",
    "link set paddock0-5 up",
  ]);
});

test("the kernel takes the bridge and a tap, and the tap is found by its label", async () => {
  await writer.links(bridgeAdded(network));
  await writer.links(bridgeLines(network, "test"));
  await writer.links(bridgeLines(network, "test"));
  await writer.sysctls(bridgeSysctls(network));
  await writer.links(tapLines(network, guest, owner));
  await writer.ports(fdbLines(guest));
  assert.deepEqual(await reader.taps(network), [{ tap: "paddock0-5", index: 5, label: "0123456789abcdef" }]);
  const shown = await host.shell("ip -d link show paddock0-5; bridge fdb show dev paddock0-5; ip neigh");
  for (const part of [
    "user 700005",
    "vnet_hdr on",
    "isolated on",
    "learning off",
    "02:50:0a:58:00:05 master paddock0 static",
    "10.88.0.5 dev paddock0 lladdr 02:50:0a:58:00:05 PERMANENT",
  ])
    assert.ok(shown.includes(part), `${part} is missing in\n${shown}`);
  assert.equal(
    (await reader.sysctls(["net/ipv6/conf/paddock0/accept_ra"])).get("net/ipv6/conf/paddock0/accept_ra"),
    "0",
  );
});

test("a rate is set, changed and lifted", async () => {
  const shown = () => host.shell("tc qdisc show dev paddock0-5");
  await writer.queues(receiveRateLines(guest, 1_250_000));
  assert.match(await shown(), /tbf 1: root .*rate 10Mbit/);
  await writer.queues(receiveRateLines(guest, 2_500_000));
  assert.match(await shown(), /rate 20Mbit/);
  await writer.queues(receiveRateLines(guest, undefined));
  assert.doesNotMatch(await shown(), /tbf/);
});

test("a removed tap leaves nothing on the bridge", async () => {
  await writer.links([...neighboursRemoved(network, guest), ...tapRemoved(guest)]);
  assert.deepEqual(await reader.taps(network), []);
  assert.equal(
    await host.shell(
      "ip neigh show dev paddock0; bridge fdb show br paddock0 | grep 02:50:0a:58:00:05 || true",
    ),
    "",
  );
  await writer.links(bridgeRemoved(network));
  assert.deepEqual(await reader.interfaces(), ["lo"]);
});

test("the ways out are the interfaces with a default route, the preferred one first", async () => {
  await host.shell(`
    ip link add out1 mtu 1300 type bridge; ip link add out2 type bridge; ip link add none type bridge
    ip link set out1 up; ip link set out2 up; ip addr add 192.0.2.1/24 dev out1; ip addr add 198.51.100.1/24 dev out2
    ip route add default via 198.51.100.2 dev out2 metric 200; ip route add default via 192.0.2.2 dev out1 metric 100`);
  assert.deepEqual(await reader.waysOut(), [
    { name: "out1", mtu: 1300 },
    { name: "out2", mtu: 1500 },
  ]);
});

test("forwarding is turned on for the bridge and the ways out, and turned off again as it was", async () => {
  const interfaces = await reader.interfaces();
  const keys = [...forwardingKeys({ waysOut: ["out1", "out2"], interfaces }), "net/ipv4/ip_forward"];
  const earlier = await reader.sysctls(keys);
  const plan = planForwarding(
    { values: earlier, waysOut: ["out1", "out2"], interfaces },
    { bridge: "none", withV6: true },
  );
  assert.deepEqual([plan.openedV4, plan.openedV6], [["out1", "out2"], true]);
  await writer.sysctls(plan.set);
  const on = await reader.sysctls(keys);
  assert.equal(on.get("net/ipv4/conf/out1/forwarding"), "1");
  assert.equal(on.get("net/ipv6/conf/all/forwarding"), "1");
  assert.equal(on.get("net/ipv4/ip_forward"), "0");
  assert.equal(on.get("net/ipv6/conf/out1/accept_ra"), "2");
  await writer.sysctls(plan.restore);
  assert.deepEqual(await reader.sysctls(keys), earlier);
});

test("a host that forwards already is left as it is", () => {
  const values = new Map([
    ["net/ipv4/conf/eth0/forwarding", "1"],
    ["net/ipv6/conf/all/forwarding", "1"],
    ["net/ipv6/conf/eth0/accept_ra", "1"],
  ]);
  const plan = planForwarding(
    { values, waysOut: ["eth0"], interfaces: ["eth0"] },
    { bridge: "paddock0", withV6: true },
  );
  assert.deepEqual(plan, {
    set: [{ key: "net/ipv4/conf/paddock0/forwarding", value: "1" }],
    restore: [],
    openedV4: [],
    openedV6: false,
  });
});

test("what a program says about a refusal is in the error", async () => {
  await assert.rejects(writer.links(["link set nothing up"]), {
    kind: "refused",
    message: /Cannot find device "nothing"/,
  });
});
