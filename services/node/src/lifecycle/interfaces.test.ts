import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { EgressMode, type NetworkInterfaceSchema } from "@paddock/protocol";
import type { FakeNetwork } from "../testing/fake-network.ts";
import { addition, creation, errorOf, networkedSandbox, removal } from "../testing/networked-node.ts";
import { sandboxIn, type TestNode } from "../testing/test-node.ts";

type Wanted = MessageInitShape<typeof NetworkInterfaceSchema>;

/** The sandbox's whole network: on the host, in the VM, in the guest and in the record. */
async function everywhere(node: TestNode, network: FakeNetwork) {
  const listed = await node.ask({ case: "listInterfaces", value: {} });
  assert.ok(listed.case === "listInterfaces", errorOf(listed));
  const { devices, linksUp } = node.machines.only;
  return {
    taps: [...network.connected.keys()].sort(),
    cards: [...devices.values()].filter(({ kind }) => kind === "interface").map(({ id }) => id),
    linksUp: [...linksUp].sort(),
    guest: node.guest.network.names,
    listed: listed.value.interfaces.map(({ interfaceId, name, addresses }) => [
      interfaceId,
      name,
      ...addresses,
    ]),
    drift: listed.value.drift.map(({ subject }) => subject),
    operations: node.operations(),
  };
}

const ALONE = {
  taps: ["paddock0-2"],
  cards: ["net0"],
  linksUp: ["net0"],
  guest: ["eth0"],
  listed: [["eth0", "eth0", "10.88.0.2/32", "fd70:88::2/128"]],
  drift: [],
  operations: [],
};

const WITH_LAN = {
  taps: ["paddock0-2", "paddock0-3"],
  cards: ["net0", "net1"],
  linksUp: ["net0", "net1"],
  guest: ["eth0", "net1"],
  listed: [...ALONE.listed, ["lan", "net1", "10.88.0.3/32", "fd70:88::3/128"]],
  drift: [],
  operations: [],
};

async function add(node: TestNode, wanted: Wanted = { interfaceId: "lan" }) {
  const outcome = await node.ask(addition(wanted));
  assert.ok(outcome.case === "addInterface", errorOf(outcome));
  return outcome.value.interface ?? assert.fail("no interface");
}

async function remove(node: TestNode, interfaceId = "lan") {
  const outcome = await node.ask(removal(interfaceId));
  assert.equal(outcome.case, "removeInterface", errorOf(outcome));
}

test("adding and removing an interface repeatedly leaves everything as before", async () => {
  const { node: started, network } = await networkedSandbox();
  await using node = started;
  assert.deepEqual(await everywhere(node, network), ALONE);
  for (let round = 0; round < 20; round++) {
    const { macAddress, mtu } = await add(node, { interfaceId: "lan", addresses: ["10.88.0.3/32"] });
    assert.deepEqual([macAddress, mtu], ["02:50:0a:58:00:03", 1400]);
    assert.deepEqual(await everywhere(node, network), WITH_LAN);
    await remove(node);
    assert.deepEqual(await everywhere(node, network), ALONE);
  }
});

test("an interface keeps id, addresses, MAC address, name and MTU across a crash, and a stop and a start", async () => {
  const { node: started, network } = await networkedSandbox();
  await using node = started;
  const macAddress = "02:00:00:00:00:77";
  const wanted = { interfaceId: "lan", name: "lan0", macAddress, mtu: 1300, addresses: ["10.88.0.9/32"] };
  const added = await add(node, wanted);
  await node.crash();
  assert.deepEqual(network.restored, ["paddock0-2", "paddock0-9"]);
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.equal(network.connected.size, 0);
  node.guest.reboot();
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  const listed = await node.ask({ case: "listInterfaces", value: {} });
  assert.ok(listed.case === "listInterfaces");
  assert.deepEqual(listed.value.interfaces[1], added);
  assert.deepEqual(listed.value.reported[1], added);
  const { request, linksUp } = node.machines.only;
  const card = { kind: "interface", id: "net1", mac: macAddress, tap: "paddock0-9", port: 0, added: "cold" };
  assert.deepEqual(request.devices.at(-1), card);
  assert.deepEqual([request.interfacePorts, [...linksUp]], [1, ["net0", "net1"]]);
  await remove(node);
  assert.deepEqual(await everywhere(node, network), ALONE);
});

test("the policy and the rates of a sandbox apply to an added interface, and change for it", async () => {
  const { node: started, network } = await networkedSandbox({
    policy: { otherwise: EgressMode.OPEN },
    bandwidth: { sendBytesPerSecond: 30_000n },
  });
  await using node = started;
  await add(node);
  const rulesOf = () => network.connected.get("paddock0-3")?.rules;
  assert.deepEqual([rulesOf()?.policy, rulesOf()?.sendBytesPerSecond], [{ kind: "open" }, 30_000]);
  const change = { policy: { otherwise: EgressMode.NONE } };
  assert.equal((await node.ask({ case: "updateNetwork", value: change })).case, "updateNetwork");
  assert.deepEqual(rulesOf()?.policy, { kind: "none" });
  const stats = await node.ask({ case: "getSandboxStats", value: {} });
  assert.ok(stats.case === "getSandboxStats");
  assert.deepEqual(
    stats.value.stats?.interfaces.map(({ interfaceId }) => interfaceId),
    ["eth0", "lan"],
  );
});

test("a change of policy that fails for one interface applies to none", async () => {
  const { node: started, network } = await networkedSandbox();
  await using node = started;
  await add(node);
  const change = network.change.bind(network);
  network.change = async (before, after) => {
    if (after.rules.guest.tap === "paddock0-3") throw new Error("no");
    await change(before, after);
  };
  const none = { policy: { otherwise: EgressMode.NONE } };
  assert.equal((await node.ask({ case: "updateNetwork", value: none })).case, "error");
  for (const { rules } of network.connected.values()) assert.deepEqual(rules.policy, { kind: "public" });
});

/** The faults of an addition, by step. */
const ADDITION = {
  "host-network": (network, _node, work) => {
    network.onConnect = work;
  },
  card: (_network, node, work) => {
    node.machines.onAttach = work;
  },
  "guest-interface": (_network, node, work) => {
    node.guest.onCall = async (name) => {
      if (name === "configureSandbox") await work();
    };
  },
} as const satisfies Record<string, Break>;

/** The faults of a removal, by step. */
const REMOVAL = {
  "guest-interface": (_network, node, work) => {
    node.guest.onCall = async (name) => {
      if (name === "removeInterface") await work();
    };
  },
  card: (_network, node, work) => {
    node.machines.onDetach = work;
  },
  "host-network": (network, _node, work) => {
    network.onDisconnect = work;
  },
} as const satisfies Record<string, Break>;

type Break = (network: FakeNetwork, node: TestNode, work: () => Promise<void>) => void;

function heal(node: TestNode, network: FakeNetwork): void {
  for (const breakIt of [...Object.values(ADDITION), ...Object.values(REMOVAL)])
    breakIt(network, node, async () => undefined);
}

const broken = async () => {
  throw new Error("it broke");
};

for (const [step, breakIt] of Object.entries(ADDITION)) {
  test(`when step ${step} of an addition fails, everything is as before and the address is free`, async () => {
    const { node: started, network } = await networkedSandbox();
    await using node = started;
    breakIt(network, node, broken);
    const wanted = { interfaceId: "lan", addresses: ["10.88.0.3/32"] };
    assert.equal((await node.ask(addition(wanted))).case, "error");
    heal(node, network);
    assert.deepEqual(await everywhere(node, network), ALONE);
    await add(node, wanted);
    assert.deepEqual(await everywhere(node, network), WITH_LAN);
  });

  test(`when the daemon dies in step ${step} of an addition, the next one undoes it`, async () => {
    const { node: started, network } = await networkedSandbox();
    await using node = started;
    await dieIn(node, network, breakIt, () => node.ask(addition({ interfaceId: "lan" })));
    assert.deepEqual(await everywhere(node, network), ALONE);
  });
}

for (const [step, breakIt] of Object.entries(REMOVAL))
  test(`when the daemon dies in step ${step} of a removal, the next one finishes it`, async () => {
    const { node: started, network } = await networkedSandbox();
    await using node = started;
    await add(node);
    const requestId = "r-remove";
    await dieIn(node, network, breakIt, () => node.ask(removal("lan"), { requestId }));
    assert.deepEqual(await everywhere(node, network), ALONE);
    assert.equal((await node.ask(removal("lan"), { requestId })).case, "removeInterface");
    assert.match(errorOf(await node.ask(removal("lan"))), /has no interface lan/);
  });

async function dieIn(node: TestNode, network: FakeNetwork, breakIt: Break, call: () => Promise<unknown>) {
  const reached = Promise.withResolvers<void>();
  breakIt(network, node, () => {
    reached.resolve();
    return node.forever;
  });
  void call();
  await reached.promise;
  heal(node, network);
  assert.equal((await node.crash()).failed, 0);
}

test("a removal that the guest refuses at the start keeps the interface, and a repeat finishes one that fails later", async () => {
  const { node: started, network } = await networkedSandbox();
  await using node = started;
  await add(node);
  REMOVAL["guest-interface"](network, node, broken);
  assert.equal((await node.ask(removal("lan"))).case, "error");
  assert.deepEqual(await everywhere(node, network), WITH_LAN);
  heal(node, network);
  REMOVAL.card(network, node, broken);
  assert.equal((await node.ask(removal("lan"))).case, "error");
  assert.deepEqual(node.operations(), ["s1 remove-interface"]);
  heal(node, network);
  await remove(node);
  assert.deepEqual(await everywhere(node, network), ALONE);
});

test("a failed removal is finished by a stop and a start, and by a deletion", async () => {
  const { node: started, network } = await networkedSandbox();
  await using node = started;
  await add(node);
  REMOVAL.card(network, node, broken);
  assert.equal((await node.ask(removal("lan"))).case, "error");
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  node.guest.reboot();
  heal(node, network);
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.deepEqual(await everywhere(node, network), ALONE);
  await add(node);
  REMOVAL.card(network, node, broken);
  assert.equal((await node.ask(removal("lan"))).case, "error");
  heal(node, network);
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.deepEqual([network.connected.size, node.leftovers()], [0, []]);
});

test("a repeated addition returns the interface, and another one with its id is ALREADY_EXISTS", async () => {
  const { node: started } = await networkedSandbox({ interfaceSlots: 3 });
  await using node = started;
  const call = { requestId: "r-add" };
  const first = await node.ask(addition({ interfaceId: "lan" }), call);
  await node.crash();
  assert.deepEqual(await node.ask(addition({ interfaceId: "lan" }), call), first);
  assert.match(errorOf(await node.ask(addition({ interfaceId: "lan" }))), /has an interface lan/);
  assert.match(errorOf(await node.ask(addition({ interfaceId: "x", name: "net1" }))), /with the name net1/);
});

const MAC = "02:00:00:00:00:77";
const REFUSED: readonly [string, Wanted, RegExp][] = [
  ["an address of another interface", { addresses: ["10.88.0.2/32"] }, /address 10\.88\.0\.2 belongs to/],
  ["an address outside of the range", { addresses: ["10.99.0.9/32"] }, /not an address that guests can have/],
  ["the address of the gateway", { addresses: ["10.88.0.1/32"] }, /not an address that guests can have/],
  ["an address with a shorter prefix", { addresses: ["10.88.0.9/24"] }, /prefix \/32 or \/128/],
  ["addresses of two places", { addresses: ["10.88.0.9/32", "fd70:88::8/128"] }, /the same place/],
  ["a duplicate address", { addresses: ["10.88.0.9/32", "10.88.0.9/32"] }, /twice/],
  ["a MAC address of another interface", { macAddress: "02:50:0a:58:00:02" }, /belongs to another address/],
  ["the MAC address of the gateway", { macAddress: "02:50:0a:58:00:01" }, /belongs to another address/],
  ["a multicast MAC address", { macAddress: "01:00:5e:00:00:01" }, /multicast/],
  ["an MTU above that of the node", { mtu: 1401 }, /from 1280 to 1400/],
  ["an MTU that IPv6 does not work with", { mtu: 1279 }, /from 1280 to 1400/],
  ["a name of the kernel", { name: "eth1" }, /kernel's/],
  ["another network", { network: "blue" }, /default network alone/],
];

for (const [what, wanted, message] of REFUSED)
  test(`${what} is refused, and nothing changes`, async () => {
    const { node: started, network } = await networkedSandbox();
    await using node = started;
    assert.match(errorOf(await node.ask(addition({ interfaceId: "lan", ...wanted }))), message);
    assert.deepEqual(await everywhere(node, network), ALONE);
  });

test("a MAC address is unique on the node, and free again when its interface is removed", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  sandboxIn(await node.ask(creation(), { sandboxId: "s2" }));
  await add(node, { interfaceId: "lan", macAddress: MAC });
  const same = addition({ interfaceId: "lan", macAddress: MAC });
  assert.match(
    errorOf(await node.ask(same, { sandboxId: "s2" })),
    /MAC address 02:00:00:00:00:77 belongs to/,
  );
  await remove(node);
  assert.equal((await node.ask(same, { sandboxId: "s2" })).case, "addInterface");
});

test("a VM without a free slot, and a node without a free address, refuse an interface", async () => {
  const { node: started, network } = await networkedSandbox({ interfaceSlots: 2 });
  await using node = started;
  await add(node);
  const { sandboxes } = node.context;
  const leases = Array.from({ length: 251 }, () =>
    sandboxes.claimInterface({ index: undefined, mac: undefined }),
  );
  assert.match(errorOf(await node.ask(addition({ interfaceId: "two" }))), /all 253 addresses .* in use/);
  assert.deepEqual(await everywhere(node, network), WITH_LAN);
  for (const lease of leases) lease[Symbol.dispose]();
  await add(node, { interfaceId: "two" });
  assert.match(errorOf(await node.ask(addition({ interfaceId: "three" }))), /was made for 2/);
});

test("a thousand leases are taken and released, and none is left", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  const { sandboxes } = node.context;
  for (let round = 0; round < 1000; round++) {
    using lease = sandboxes.claimInterface({ index: undefined, mac: undefined });
    assert.ok(lease.index > 2);
  }
  const all = Array.from({ length: 252 }, () =>
    sandboxes.claimInterface({ index: undefined, mac: undefined }),
  );
  assert.equal(new Set(all.map(({ mac }) => mac)).size, 252);
  assert.throws(() => sandboxes.claimInterface({ index: undefined, mac: undefined }), { kind: "exhausted" });
  for (const lease of all) lease[Symbol.dispose]();
});

test("the first interface cannot be removed, and an unknown one is NOT_FOUND", async () => {
  const { node: started, network } = await networkedSandbox();
  await using node = started;
  assert.match(errorOf(await node.ask(removal("eth0"))), /first interface of sandbox s1 cannot be removed/);
  assert.match(errorOf(await node.ask(removal("lan"))), /has no interface lan/);
  assert.deepEqual(await everywhere(node, network), ALONE);
});

test("a paused or stopped sandbox lists its interfaces, but none can be added or removed", async () => {
  const { node: started } = await networkedSandbox();
  await using node = started;
  await add(node);
  for (const [request, state] of [
    ["pauseSandbox", "paused"],
    ["stopSandbox", "stopped"],
  ] as const) {
    sandboxIn(await node.ask({ case: request, value: {} }));
    const refused = new RegExp(`cannot change the network of sandbox s1.*${state}`);
    assert.match(errorOf(await node.ask(addition({ interfaceId: "two" }))), refused);
    assert.match(errorOf(await node.ask(removal("lan"))), refused);
    const listed = await node.ask({ case: "listInterfaces", value: {} });
    assert.ok(listed.case === "listInterfaces");
    const { interfaces, reported, guestAnswered } = listed.value;
    assert.deepEqual([interfaces.length, reported.length, guestAnswered], [2, 0, false]);
  }
});
