import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { formatAddress } from "./address.ts";
import { linkLocalOf } from "./mac.ts";
import * as frames from "./testing/frames.ts";
import type { Conversation } from "./testing/namespace.ts";
import { type Guest, HOST, reaches, TestBed, WORLD } from "./testing/test-bed.ts";

const GATEWAY = "10.88.0.1";
const GATEWAY6 = "fd70:88::1";
const EVERYONE = "ff:ff:ff:ff:ff:ff";

let bed: TestBed;
let attacker: Guest;
let victim: Guest;
let wire: Conversation;
let victimWire: Conversation;

before(async () => {
  bed = await TestBed.create();
  attacker = await bed.addGuest(2);
  victim = await bed.addGuest(3);
  await bed.echo(victim.namespace, 7000);
  await bed.echo(bed.host, 7000);
  await bed.echo(bed.outside, 7000);
  [wire, victimWire] = [await bed.raw(attacker.namespace), await bed.raw(victim.namespace)];
});

after(async () => {
  await bed[Symbol.asyncDispose]();
});

/** Sends a frame and answers how many frames the host has counted as forged, and what the victim received. */
async function send(frame: string): Promise<{ forged: number; seen: readonly string[] }> {
  const count = async () => (await bed.reader.spoofed(bed.network)).get(attacker.at.tap)?.packets ?? 0;
  const earlier = await count();
  victimWire.take();
  wire.tell(frame);
  await wire.line("sent", 2000);
  await delay(50);
  // Besides what is bridged, a tap and the bridge report their own groups (MLDv2, to ff02::16).
  const senders = [attacker.at.mac, victim.at.mac, bed.gateway.mac].map((mac) => mac.replaceAll(":", ""));
  const seen = victimWire
    .take()
    .filter((line) => senders.includes(line.slice(12, 24)) && !line.startsWith("333300000016"));
  return { forged: (await count()) - earlier, seen };
}

const own = () => ({ mac: attacker.at.mac, ip: formatAddress(attacker.at.v4) });
const toGateway = () => ({ from: attacker.at.mac, to: bed.gateway.mac });
const packet = (from: string, to: string) => frames.ipv4({ from, to }, 17, frames.udp(7, 7000, "hello"));

const dropped: readonly { name: string; frame: () => string }[] = [
  {
    name: "an ARP reply in the name of the gateway",
    frame: () =>
      frames.ethernet(
        { from: own().mac, to: EVERYONE },
        0x0806,
        frames.arp("reply", { mac: own().mac, ip: GATEWAY }, { mac: victim.at.mac, ip: "10.88.0.3" }),
      ),
  },
  {
    name: "an ARP request in the name of a neighbour",
    frame: () =>
      frames.ethernet(
        { from: own().mac, to: EVERYONE },
        0x0806,
        frames.arp("request", { mac: own().mac, ip: "10.88.0.3" }, { mac: EVERYONE, ip: GATEWAY }),
      ),
  },
  {
    name: "an ARP request with another MAC address than its frame's",
    frame: () =>
      frames.ethernet(
        { from: own().mac, to: EVERYONE },
        0x0806,
        frames.arp("request", { mac: victim.at.mac, ip: own().ip }, { mac: EVERYONE, ip: GATEWAY }),
      ),
  },
  {
    name: "a frame with a neighbour's MAC address",
    frame: () =>
      frames.ethernet({ from: victim.at.mac, to: bed.gateway.mac }, 0x0800, packet("10.88.0.3", WORLD.v4)),
  },
  {
    name: "a frame with the gateway's MAC address",
    frame: () =>
      frames.ethernet({ from: bed.gateway.mac, to: victim.at.mac }, 0x0800, packet(GATEWAY, "10.88.0.3")),
  },
  {
    name: "a packet with a neighbour's IPv4 address",
    frame: () => frames.ethernet(toGateway(), 0x0800, packet("10.88.0.3", WORLD.v4)),
  },
  {
    name: "a packet with the host's address",
    frame: () => frames.ethernet(toGateway(), 0x0800, packet(HOST.v4, WORLD.v4)),
  },
  {
    name: "a packet to a neighbour's MAC address",
    frame: () =>
      frames.ethernet({ from: own().mac, to: victim.at.mac }, 0x0800, packet(own().ip, "10.88.0.3")),
  },
  {
    name: "a packet with a neighbour's IPv6 address",
    frame: () =>
      frames.ethernet(
        toGateway(),
        0x86dd,
        frames.ipv6({ from: "fd70:88::3", to: WORLD.v6 }, 17, frames.udp(7, 7000, "hello")),
      ),
  },
  {
    name: "a neighbour advertisement in the name of the gateway",
    frame: () =>
      frames.ethernet(
        { from: own().mac, to: "33:33:00:00:00:01" },
        0x86dd,
        frames.neighbour(frames.ADVERTISEMENT, { from: GATEWAY6, to: "ff02::1" }, GATEWAY6, own().mac),
      ),
  },
  {
    name: "a neighbour advertisement for a neighbour from its own address",
    frame: () =>
      frames.ethernet(
        { from: own().mac, to: "33:33:00:00:00:01" },
        0x86dd,
        frames.neighbour(
          frames.ADVERTISEMENT,
          { from: "fd70:88::2", to: "ff02::1" },
          "fd70:88::3",
          own().mac,
        ),
      ),
  },
  {
    name: "a router advertisement",
    frame: () =>
      frames.ethernet(
        { from: own().mac, to: "33:33:00:00:00:01" },
        0x86dd,
        frames.routerAdvertisement(
          { from: formatAddress(linkLocalOf(attacker.at.mac)), to: "ff02::1" },
          own().mac,
        ),
      ),
  },
  {
    name: "a router advertisement behind an extension header",
    frame: () => {
      const ends = { from: formatAddress(linkLocalOf(attacker.at.mac)), to: "ff02::1" };
      const advertisement = frames.icmpv6(ends, frames.ROUTER_ADVERTISEMENT, "400007080000000000000000");
      return frames.ethernet(
        { from: own().mac, to: "33:33:00:00:00:01" },
        0x86dd,
        frames.ipv6(ends, 0, `3a00010400000000${advertisement}`),
      );
    },
  },
  {
    name: "a DHCP offer",
    frame: () => frames.ethernet({ from: own().mac, to: EVERYONE }, 0x0800, frames.dhcpOffer(own().ip)),
  },
  {
    name: "a frame with a VLAN tag",
    frame: () => frames.tagged(frames.ethernet(toGateway(), 0x0800, packet(own().ip, WORLD.v4)), 1),
  },
  {
    name: "a frame of the spanning tree protocol",
    frame: () =>
      frames.ethernet({ from: own().mac, to: "01:80:c2:00:00:00" }, 0x0026, "424203".padEnd(76, "0")),
  },
  {
    name: "an IPv4 packet to the group address of LLDP, which goes past the bridge",
    frame: () =>
      frames.ethernet({ from: own().mac, to: "01:80:c2:00:00:0e" }, 0x0800, packet(own().ip, HOST.v4)),
  },
  {
    name: "a frame of a protocol that nobody asked for",
    frame: () => frames.ethernet(toGateway(), 0x88cc, "00".padEnd(92, "0")),
  },
  {
    name: "a packet to the host's loopback address",
    frame: () => frames.ethernet(toGateway(), 0x0800, packet(own().ip, "127.0.0.1")),
  },
  {
    name: "a fragment with a neighbour's address",
    frame: () =>
      frames.ethernet(
        toGateway(),
        0x0800,
        frames.ipv4({ from: "10.88.0.3", to: WORLD.v4 }, 17, "00".repeat(16), { offset: 8, more: false }),
      ),
  },
];

for (const { name, frame } of dropped)
  test(`${name} is dropped and counted, and no neighbour receives it`, async () => {
    assert.deepEqual(await send(frame()), { forged: 1, seen: [] });
  });

test("a guest cannot reach its neighbour, by IPv4 or IPv6", async () => {
  assert.equal(await reaches(attacker.namespace, ["10.88.0.3", 7000]), false);
  assert.equal(await reaches(attacker.namespace, ["fd70:88::3", 7000]), false);
  const refused = await bed.reader.refusedPackets(bed.network);
  assert.deepEqual(
    refused
      .map(({ from, to, protocol, port }) =>
        [formatAddress(from), formatAddress(to), protocol, port].join(" "),
      )
      .sort(),
    ["10.88.0.2 10.88.0.3 tcp 7000", "fd70:88::2 fd70:88::3 tcp 7000"],
  );
});

test("two guests that have named each other can talk, and can no more when one of them takes it back", async () => {
  const [a, b] = [attacker, victim].map(({ at }) => [at.v4, ...(at.v6 === undefined ? [] : [at.v6])]);
  await bed.change(attacker, { peers: b ?? [] });
  assert.equal(await reaches(attacker.namespace, ["10.88.0.3", 7000]), false);
  await bed.change(victim, { peers: a ?? [] });
  assert.equal(await reaches(attacker.namespace, ["10.88.0.3", 7000]), true);
  assert.equal(await reaches(attacker.namespace, ["fd70:88::3", 7000, "udp"]), true);
  await bed.change(victim, { peers: [] });
  assert.equal(await reaches(attacker.namespace, ["10.88.0.3", 7000]), false);
});

test("a guest cannot reach the host, by any of its addresses", async () => {
  for (const address of [GATEWAY, GATEWAY6, HOST.v4, HOST.v6])
    assert.equal(await reaches(attacker.namespace, [address, 7000]), false, address);
});

test("an ARP request to the group address of LLDP has no answer", async () => {
  wire.take();
  const { seen } = await send(
    frames.ethernet(
      { from: own().mac, to: "01:80:c2:00:00:0e" },
      0x0806,
      frames.arp("request", own(), { mac: EVERYONE, ip: HOST.v4 }),
    ),
  );
  assert.deepEqual(seen, []);
  assert.deepEqual(
    wire.take().filter((line) => line.slice(24, 28) === "0806"),
    [],
  );
});

async function becomes(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, "it did not happen within 10 s");
    await delay(20);
  }
}

test("fragments are judged as the whole packet", async () => {
  const seen = await bed.raw(bed.outside);
  const whole = frames.udp(7, 7000, "a".repeat(24));
  const parts = (to: string) =>
    [
      { data: whole.slice(0, 32), offset: 0, more: true },
      { data: whole.slice(32), offset: 16, more: false },
    ].map(({ data, ...at }) =>
      frames.ethernet(toGateway(), 0x0800, frames.ipv4({ from: own().ip, to }, 17, data, at)),
    );
  await bed.change(attacker, {
    policy: {
      kind: "rules",
      rules: [{ action: "deny", to: undefined, protocol: "udp", ports: { first: 7000, last: 7000 } }],
      otherwise: "public",
    },
  });
  const refused = async () => (await bed.reader.refused(bed.network)).get(own().ip)?.packets ?? 0;
  const arrived = () => seen.take().some((line) => line.includes("61".repeat(8)));
  const earlier = await refused();
  for (const frame of parts(WORLD.v4)) wire.tell(frame);
  await becomes(async () => (await refused()) > earlier);
  assert.equal(arrived(), false);
  await bed.change(attacker, { policy: { kind: "public" } });
  for (const frame of parts(WORLD.v4)) wire.tell(frame);
  await becomes(async () => arrived());
});

test("a flood of ARP requests is slowed, and its sender and the neighbour still reach the world", async () => {
  const request = frames.ethernet(
    { from: own().mac, to: EVERYONE },
    0x0806,
    frames.arp("request", own(), { mac: EVERYONE, ip: GATEWAY }),
  );
  for (let n = 0; n < 2000; n++) wire.tell(request);
  await delay(200);
  assert.equal(await reaches(victim.namespace, [WORLD.v4, 7000]), true);
  assert.equal(await reaches(attacker.namespace, [WORLD.v6, 7000]), true);
  const answers = wire.take().filter((line) => line.slice(24, 28) === "0806");
  assert.ok(answers.length < 200, `${answers.length} answers to 2000 requests`);
});

test("a guest that opens connections without end cannot fill the host's connection table", async () => {
  const world = (port: number) =>
    frames.ipv4({ from: own().ip, to: WORLD.v4 }, 17, frames.udp(port, 7001, "hello"));
  wire.take();
  for (let port = 20_000; port < 30_000; port++) wire.tell(frames.ethernet(toGateway(), 0x0800, world(port)));
  for (let sent = 0; sent < 10_000; sent++) assert.ok(await wire.line("sent", 30_000));
  const open = Number(await bed.host.shell("cat /proc/sys/net/netfilter/nf_conntrack_count"));
  assert.ok(open > 4000 && open < 8400, `${open} connections`);
  assert.equal(await reaches(victim.namespace, [WORLD.v4, 7000]), true);
});
