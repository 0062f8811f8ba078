import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { NetworkError, requireAddress } from "@paddock/network";
import { EgressAction, EgressMode, NetworkMode, type NetworkSpecSchema } from "@paddock/protocol";
import { FakeNetwork } from "../testing/fake-network.ts";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

type Network = MessageInitShape<typeof NetworkSpecSchema>;

const containers = [{ containerId: "c1", image: "tiny" }];
const creation = (network?: Network) =>
  ({
    case: "createSandbox",
    value: { spec: { containers, ...(network !== undefined && { network }) } },
  }) as const;
const deletion = { case: "deleteSandbox", value: { force: true } } as const;

async function networkedNode(): Promise<{ node: TestNode; network: FakeNetwork }> {
  const node = await TestNode.start();
  const network = new FakeNetwork();
  node.network = network;
  await node.crash();
  return { node, network };
}

const errorOf = (outcome: NamedOutcome): string => (outcome.case === "error" ? outcome.value.message : "");

test("a sandbox is connected before its VM starts, its guest is told, and its deletion disconnects it", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  node.machines.onStart = async ({ devices }) => {
    assert.deepEqual([...network.connected.keys()], ["paddock0-2"]);
    assert.deepEqual(
      devices.filter(({ kind }) => kind === "interface"),
      [
        {
          kind: "interface",
          id: "net0",
          tap: "paddock0-2",
          mac: "02:50:0a:58:00:02",
          port: 0,
          added: "cold",
        },
      ],
    );
  };
  const { status } = sandboxIn(await node.ask(creation()));
  assert.deepEqual(
    status?.network?.interfaces.map(({ name, addresses }) => [name, addresses]),
    [["eth0", ["10.88.0.2/32", "fd70:88::2/128"]]],
  );
  assert.deepEqual(status?.network?.dnsServers, ["192.0.2.53"]);
  assert.deepEqual([...node.machines.only.linksUp], ["net0"]);
  assert.equal((await node.ask(deletion)).case, "deleteSandbox");
  assert.deepEqual([network.connected.size, node.leftovers()], [0, []]);
});

test("a sandbox keeps its address through a stop, a start and a crash of the daemon", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask({ ...creation(), case: "createSandbox" }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.equal(network.connected.size, 0);
  await node.crash();
  assert.deepEqual(network.restored, []);
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.deepEqual([...network.connected.keys()], ["paddock0-2"]);
  await node.crash();
  assert.deepEqual(network.restored, ["paddock0-2"]);
  sandboxIn(await node.ask(creation(), { sandboxId: "s2" }));
  assert.deepEqual([...network.connected.keys()], ["paddock0-2", "paddock0-3"]);
});

test("a sandbox without a network has no card, also on a node with one", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  const { status } = sandboxIn(await node.ask(creation({ mode: NetworkMode.NONE })));
  assert.deepEqual([network.connected.size, status?.network], [0, undefined]);
  assert.equal(node.machines.only.request.interfacePorts, 0);
});

test("a creation that fails when it is connected, or after, leaves no interface and no address in use", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  network.onConnect = async () => {
    throw new Error("no tap");
  };
  assert.equal((await node.ask(creation())).case, "error");
  network.onConnect = async () => undefined;
  node.machines.onStart = async () => {
    throw new Error("no QEMU");
  };
  assert.equal((await node.ask(creation())).case, "error");
  assert.deepEqual([network.connected.size, node.leftovers()], [0, []]);
});

test("what a daemon died over is taken back by the next one", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  const reached = Promise.withResolvers<void>();
  node.machines.onStart = async () => {
    reached.resolve();
    await node.forever;
  };
  const creating = node.ask(creation());
  await reached.promise;
  assert.equal(network.connected.size, 1);
  assert.equal((await node.crash()).undone, 1);
  assert.deepEqual([network.connected.size, node.leftovers()], [0, []]);
  creating.catch(() => undefined);
});

test("an interface of a VM that no record knows is swept", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation()));
  const [connection] = network.connected.values();
  assert.ok(connection !== undefined);
  network.connected.set("paddock0-9", { ...connection, owner: "0123456789abcdef" });
  assert.equal((await node.crash()).swept, 1);
  assert.deepEqual([...network.connected.keys()], ["paddock0-2"]);
});

test("a pool without a free address is NO_CAPACITY, and a deleted sandbox gives its address back", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  const leases = Array.from({ length: 253 }, () =>
    node.context.sandboxes.claim(`x${Math.random()}`, NOTHING, 1),
  );
  assert.match(errorOf(await node.ask(creation())), /all 253 addresses of the pool are in use/);
  assert.deepEqual([network.connected.size, node.leftovers()], [0, []]);
  leases[0]?.[Symbol.dispose]();
  sandboxIn(await node.ask(creation()));
});

const NOTHING = { milliCpus: 0, memoryBytes: 0, diskBytes: 0 };

test("a free port is chosen and shown, and a port that is taken is refused before anything is made", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  const { status } = sandboxIn(await node.ask(creation({ publishedPorts: [{ guestPort: 80 }] })));
  const [port] = status?.network?.publishedPorts ?? [];
  assert.ok(port !== undefined && port.hostPort > 0);
  assert.equal(network.connected.get("paddock0-2")?.rules.published[0]?.hostPort, port.hostPort);
  const same = creation({ publishedPorts: [{ guestPort: 81, hostPort: port.hostPort }] });
  assert.match(errorOf(await node.ask(same, { sandboxId: "s2" })), /the port is in use/);
  assert.equal(network.connected.size, 1);
  assert.equal((await node.ask(deletion)).case, "deleteSandbox");
  sandboxIn(await node.ask(same, { sandboxId: "s2" }));
});

test("a port that another program has is refused", async () => {
  const { node: started } = await networkedNode();
  await using node = started;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const hostPort = typeof address === "object" && address !== null ? address.port : 0;
  const outcome = await node.ask(creation({ publishedPorts: [{ guestPort: 80, hostPort }] }));
  assert.match(errorOf(outcome), /the port is in use/);
  server.close();
});

test("a policy reaches the host's rules", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation({ policy: { otherwise: EgressMode.NONE } })));
  assert.deepEqual(network.connected.get("paddock0-2")?.rules.policy, { kind: "none" });
});

test("a change of policy is in the host's rules and in the record, and what the host refuses changes nothing", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation()));
  const none = { policy: { otherwise: EgressMode.NONE }, bandwidth: { receiveBytesPerSecond: 20_000n } };
  assert.equal((await node.ask({ case: "updateNetwork", value: none })).case, "updateNetwork");
  const connected = () => network.connected.get("paddock0-2");
  assert.deepEqual(
    [connected()?.rules.policy, connected()?.receiveBytesPerSecond],
    [{ kind: "none" }, 20_000],
  );
  network.change = async () => {
    throw new NetworkError("refused", "no");
  };
  const open = { policy: { otherwise: EgressMode.OPEN } };
  assert.equal((await node.ask({ case: "updateNetwork", value: open })).case, "error");
  const { status } = sandboxIn(await node.ask({ case: "getSandbox", value: {} }));
  assert.equal(status?.network?.policy?.otherwise, EgressMode.NONE);
});

test("a policy that contradicts itself is refused, and a sandbox without a network has none to change", async () => {
  const { node: started } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation()));
  const rules = [{ action: EgressAction.DENY, destination: "10.0.0.1/8" }];
  assert.match(
    errorOf(await node.ask({ case: "updateNetwork", value: { policy: { rules } } })),
    /has bits set after its prefix/,
  );
  sandboxIn(await node.ask(creation({ mode: NetworkMode.NONE }), { sandboxId: "s2" }));
  assert.match(
    errorOf(await node.ask({ case: "updateNetwork", value: { policy: {} } }, { sandboxId: "s2" })),
    /has no network/,
  );
});

test("refused packets are listed with their time, without those of an earlier owner of the address", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation()));
  const packet = {
    from: requireAddress("10.88.0.2"),
    to: requireAddress("10.0.0.1"),
    protocol: "tcp",
    port: 22,
    packets: 3,
  };
  network.refusedNow = {
    packets: [
      { ...packet, secondsAgo: 0 },
      { ...packet, port: 23, secondsAgo: 200 },
    ],
    refused: 7,
    forged: 2,
  };
  const outcome = await node.ask({ case: "listRefusedPackets", value: {} });
  assert.ok(outcome.case === "listRefusedPackets");
  const { packets, refusedPackets, forgedPackets } = outcome.value;
  assert.deepEqual(
    packets.map(({ source, destination, protocol, port }) => [source, destination, protocol, port]),
    [["10.88.0.2", "10.0.0.1", "tcp", 22]],
  );
  assert.deepEqual([refusedPackets, forgedPackets], [7n, 2n]);
});
