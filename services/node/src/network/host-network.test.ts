import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { guestInterface, HostReader, HostWriter, planNetwork } from "@paddock/network";
import { Namespace } from "@paddock/network/testing";
import { type Connection, HostNetwork } from "./host-network.ts";

const network = planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/24", v6: "fd70:88::/64" });

/** A host in a namespace, with a default route, on which daemons open their network. */
class TestHost implements AsyncDisposable {
  readonly namespace: Namespace;
  readonly stateDir: string;

  private constructor(namespace: Namespace, stateDir: string) {
    this.namespace = namespace;
    this.stateDir = stateDir;
  }

  static async create(): Promise<TestHost> {
    const namespace = await Namespace.create();
    await namespace.shell(`
      ip link add uplink type bridge; ip link set uplink up
      ip addr add 198.51.100.1/24 dev uplink; ip route add default via 198.51.100.2`);
    return new TestHost(namespace, await mkdtemp(join(tmpdir(), "host-network-")));
  }

  daemon({ stateDir = this.stateDir, idleMs = 60_000 } = {}): HostNetwork {
    const run = this.namespace.runner;
    return new HostNetwork({
      network,
      resolver: { nameservers: [], searches: [] },
      writer: new HostWriter(run),
      reader: new HostReader(run),
      stateDir,
      idleMs,
      onDownFailed: (error) => assert.fail(String(error)),
    });
  }

  /** Everything on the host that the network changes. */
  picture(): Promise<string> {
    return this.namespace.shell(`
      nft list ruleset; ip -br link; ip neigh; ip route; bridge fdb show | grep -v permanent || true
      sysctl net.ipv4.conf.uplink.forwarding net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.uplink.accept_ra`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]();
    await rm(this.stateDir, { recursive: true });
  }
}

const connection = (index: number, owner = `vm${index}`): Connection => ({
  rules: {
    guest: guestInterface(network, index),
    policy: { kind: "public" },
    dns: [],
    published: [],
    peers: [],
    sendBytesPerSecond: undefined,
  },
  uid: 700_000 + index,
  owner,
  receiveBytesPerSecond: undefined,
});

const signal = () => AbortSignal.timeout(10_000);

test("the first interface sets the network up, and after the last one the host is restored", async () => {
  await using host = await TestHost.create();
  const before = await host.picture();
  {
    await using daemon = host.daemon();
    await Promise.all([daemon.connect(connection(2), signal()), daemon.connect(connection(3), signal())]);
    const picture = await host.picture();
    assert.match(picture, /paddock0-2/);
    assert.match(picture, /uplink.forwarding = 1/);
    assert.deepEqual([...(await daemon.owners())].sort(), ["vm2", "vm3"]);
    for (const index of [2, 3]) await daemon.disconnect(connection(index), signal());
    assert.notEqual(await host.picture(), before);
  }
  assert.equal(await host.picture(), before);
});

test("an idle network is torn down after a while", async () => {
  await using host = await TestHost.create();
  const before = await host.picture();
  await using daemon = host.daemon({ idleMs: 50 });
  await daemon.connect(connection(2), signal());
  await daemon.disconnect(connection(2), signal());
  for (let tries = 0; tries < 100 && (await host.picture()) !== before; tries++) await delay(50);
  assert.equal(await host.picture(), before);
});

test("interfaces survive the daemon, and the next one restores the host after the last interface", async () => {
  await using host = await TestHost.create();
  const before = await host.picture();
  {
    await using daemon = host.daemon();
    await daemon.connect(connection(2), signal());
  }
  {
    await using daemon = host.daemon();
    const connected = await host.picture();
    await daemon.restore([connection(2)]);
    assert.equal(await host.picture(), connected);
    assert.deepEqual(await daemon.owners(), ["vm2"]);
    await daemon.disconnect(connection(2), signal());
  }
  assert.equal(await host.picture(), before);
});

test("the next daemon sets and lifts the rates of a change in which the one before died", async () => {
  await using host = await TestHost.create();
  const rates = async () =>
    [...(await host.namespace.shell("tc qdisc show")).matchAll(/dev (\S+) root .*rate (\S+)/g)].map(
      ([, tap, rate]) => `${tap} ${rate}`,
    );
  const at = (index: number, receiveBytesPerSecond?: number) => ({
    ...connection(index),
    receiveBytesPerSecond,
  });
  await using former = host.daemon();
  for (const each of [at(2, 125_000), at(3), at(4, 125_000)]) await former.connect(each, signal());
  assert.deepEqual(await rates(), ["paddock0-2 1Mbit", "paddock0-4 1Mbit"]);
  await using daemon = host.daemon();
  await daemon.restore([at(2), at(3, 250_000), at(4, 250_000)]);
  assert.deepEqual((await rates()).toSorted(), ["paddock0-3 2Mbit", "paddock0-4 2Mbit"]);
  for (const index of [2, 3, 4]) await daemon.disconnect(connection(index), signal());
  for (const index of [2, 3, 4]) await former.disconnect(connection(index), signal());
});

test("rules that are refused leave the rate as it was", async () => {
  await using host = await TestHost.create();
  await using daemon = host.daemon();
  const before = { ...connection(2), receiveBytesPerSecond: 125_000 };
  await daemon.connect(before, signal());
  // The host has no rules of this interface: their change is refused.
  const unknown = { ...before.rules, policy: { kind: "open" } as const, guest: guestInterface(network, 3) };
  const change = daemon.change(
    { ...before, rules: { ...unknown, guest: { ...unknown.guest, tap: "paddock0-2" } } },
    { ...before, receiveBytesPerSecond: 250_000 },
    signal(),
  );
  await assert.rejects(change, { kind: "refused" });
  assert.match(await host.namespace.shell("tc qdisc show dev paddock0-2"), /rate 1Mbit/);
  await daemon.disconnect(before, signal());
});

test("a daemon that finds its network without a sandbox tears it down, with its strays", async () => {
  await using host = await TestHost.create();
  const before = await host.picture();
  await host.daemon().connect(connection(2), signal());
  await using daemon = host.daemon();
  await daemon.restore([]);
  assert.deepEqual(await daemon.owners(), []);
  assert.equal(await host.picture(), before);
});

test("strays are dropped by owner, and connected interfaces stay", async () => {
  await using host = await TestHost.create();
  const former = host.daemon();
  await former.connect(connection(2), signal());
  await former.connect(connection(3), signal());
  const daemon = host.daemon();
  await daemon.restore([connection(2)]);
  await daemon.drop("vm3", signal());
  await daemon.drop("vm3", signal());
  assert.deepEqual(await daemon.owners(), ["vm2"]);
  assert.doesNotMatch(await host.picture(), /10\.88\.0\.3 \}/);
});

test("connecting can be repeated, and the last call counts", async () => {
  await using host = await TestHost.create();
  await using daemon = host.daemon();
  await daemon.connect(connection(2, "former"), signal());
  await daemon.connect(connection(2, "vm2"), signal());
  assert.deepEqual(await daemon.owners(), ["vm2"]);
  await daemon.disconnect(connection(2), signal());
});

test("disconnecting can be repeated, and succeeds without an interface", async () => {
  await using host = await TestHost.create();
  await using daemon = host.daemon();
  await daemon.disconnect(connection(2), signal());
  await daemon.connect(connection(2), signal());
  await daemon.disconnect(connection(2), signal());
  await daemon.disconnect(connection(2), signal());
  assert.deepEqual(await daemon.owners(), []);
});

test("a bridge of another daemon is left alone", async () => {
  await using host = await TestHost.create();
  await host.daemon().connect(connection(2), signal());
  const before = await host.picture();
  await using other = host.daemon({ stateDir: "/nonexistent" });
  await assert.rejects(other.connect(connection(3), signal()), {
    kind: "refused",
    message: /does not belong to this node/,
  });
  assert.deepEqual(await other.owners(), []);
  assert.equal(await host.picture(), before);
});
