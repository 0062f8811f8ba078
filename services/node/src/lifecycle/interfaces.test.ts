import assert from "node:assert/strict";
import { test } from "node:test";
import { EgressMode } from "@paddock/protocol";
import type { FakeNetwork } from "../testing/fake-network.ts";
import { addition, errorOf, networkedSandbox, removal } from "../testing/networked-node.ts";
import { sandboxIn, type TestNode } from "../testing/test-node.ts";
import { ALONE, add, everywhere, remove, WITH_LAN } from "../testing/whole-network.ts";

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
