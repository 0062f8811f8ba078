import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { NetworkError, requireAddress } from "@paddock/network";
import { EgressAction, EgressMode, NetworkMode, type PublishedPortSchema } from "@paddock/protocol";
import { creation, errorOf, networkedNode } from "../testing/networked-node.ts";
import { sandboxIn } from "../testing/test-node.ts";

const deletion = { case: "deleteSandbox", value: { force: true } } as const;

test("a sandbox is connected before its VM starts, its guest is configured, and its deletion disconnects it", async () => {
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

test("a sandbox keeps its address across a stop, a start and a crash of the daemon", async () => {
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

test("a sandbox without a network has no card, even on a node with one", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  const { status } = sandboxIn(await node.ask(creation({ mode: NetworkMode.NONE })));
  assert.deepEqual([network.connected.size, status?.network], [0, undefined]);
  assert.equal(node.machines.only.request.interfacePorts, 0);
});

test("a creation that fails during or after the connection leaves no interface and no address in use", async () => {
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

test("the next daemon undoes a connection that a crash interrupted", async () => {
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

test("an interface of a VM without a record is swept", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation()));
  const [connection] = network.connected.values();
  assert.ok(connection !== undefined);
  network.connected.set("paddock0-9", { ...connection, owner: "0123456789abcdef" });
  assert.equal((await node.crash()).swept, 1);
  assert.deepEqual([...network.connected.keys()], ["paddock0-2"]);
});

test("a pool without a free address is NO_CAPACITY, and a deleted sandbox releases its address", async () => {
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

test("a free port is chosen and shown, and a port in use is refused before any change", async () => {
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

test("a port that another program uses is refused", async () => {
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

test("a policy is applied to the host's rules", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation({ policy: { otherwise: EgressMode.NONE } })));
  assert.deepEqual(network.connected.get("paddock0-2")?.rules.policy, { kind: "none" });
});

test("a change of policy applies to the host's rules and the record, and one that the host refuses changes nothing", async () => {
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

test("a contradictory policy is refused, and so is a policy for a sandbox without a network", async () => {
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

test("published ports can change while the sandbox runs, and a conflict or a refusal of the host changes nothing", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  const { status } = sandboxIn(await node.ask(creation({ publishedPorts: [{ guestPort: 80 }] })));
  const [first] = status?.network?.publishedPorts ?? [];
  assert.ok(first !== undefined);
  const inRules = () =>
    network.connected
      .get("paddock0-2")
      ?.rules.published.filter(({ family }) => family === 4)
      .map(({ hostPort, guestPort }) => [hostPort, guestPort]);
  const change = (ports: MessageInitShape<typeof PublishedPortSchema>[]) =>
    node.ask({ case: "updateNetwork", value: { publishedPorts: { ports } } });
  const changed = await change([{ guestPort: 80 }, { guestPort: 81 }]);
  assert.ok(changed.case === "updateNetwork", errorOf(changed));
  const shown = changed.value.network?.publishedPorts ?? [];
  assert.equal(shown[0]?.hostPort, first.hostPort);
  assert.deepEqual(
    inRules(),
    shown.map(({ hostPort, guestPort }) => [hostPort, guestPort]),
  );
  const other = sandboxIn(
    await node.ask(creation({ publishedPorts: [{ guestPort: 80 }] }), { sandboxId: "s2" }),
  );
  const [taken] = other.status?.network?.publishedPorts ?? [];
  assert.match(
    errorOf(await change([{ guestPort: 9, hostPort: taken?.hostPort ?? 0 }])),
    /the port is in use/,
  );
  const former = network.change.bind(network);
  network.change = async () => {
    throw new NetworkError("refused", "no");
  };
  assert.equal((await change([])).case, "error");
  network.change = former;
  const kept = shown.map(({ hostPort, guestPort }) => [hostPort, guestPort]);
  assert.deepEqual(inRules(), kept);
  await node.crash();
  const now =
    sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.network?.publishedPorts ?? [];
  assert.deepEqual(
    now.map(({ hostPort, guestPort }) => [hostPort, guestPort]),
    kept,
  );
  assert.equal((await change([])).case, "updateNetwork");
  assert.deepEqual(inRules(), []);
});
