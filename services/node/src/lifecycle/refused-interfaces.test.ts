import assert from "node:assert/strict";
import { test } from "node:test";
import { addition, creation, errorOf, networkedSandbox, removal } from "../testing/networked-node.ts";
import { sandboxIn } from "../testing/test-node.ts";
import { ALONE, add, everywhere, remove, type Wanted, WITH_LAN } from "../testing/whole-network.ts";

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
