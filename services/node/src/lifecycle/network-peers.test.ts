/** Sandboxes that may talk to each other: the consents on the host at each change of one of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeNetwork } from "../testing/fake-network.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const [ONE, TWO] = ["10.88.0.2", "10.88.0.3"];
const BOTH = [`${ONE} ${TWO}`, `${TWO} ${ONE}`, "fd70:88::2 fd70:88::3", "fd70:88::3 fd70:88::2"];

async function networkedNode(): Promise<{ node: TestNode; network: FakeNetwork }> {
  const node = await TestNode.start();
  const network = new FakeNetwork();
  node.network = network;
  await node.crash();
  return { node, network };
}

const containers = [{ containerId: "c1", image: "tiny" }];
const creation = (...peers: string[]) =>
  ({ case: "createSandbox", value: { spec: { containers, network: { peers } } } }) as const;

const deletion = { case: "deleteSandbox", value: { force: true } } as const;
const naming = (...sandboxIds: string[]) =>
  ({ case: "updateNetwork", value: { peers: { sandboxIds } } }) as const;

test("two sandboxes that name each other are joined, in either order, until one of them is deleted", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation("two"), { sandboxId: "one" }));
  assert.deepEqual([...network.consents], []);
  sandboxIn(await node.ask(creation("one"), { sandboxId: "two" }));
  assert.deepEqual([...network.consents].sort(), BOTH.toSorted());
  await node.ask(deletion, { sandboxId: "one" });
  assert.deepEqual([...network.consents], []);
  sandboxIn(await node.ask(creation("two"), { sandboxId: "one" }));
  assert.equal(network.consents.size, 4);
});

test("a sandbox that only one side names is not joined, and no sandbox is joined with itself", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation("one", "two"), { sandboxId: "one" }));
  sandboxIn(await node.ask(creation(), { sandboxId: "two" }));
  assert.deepEqual([...network.consents], []);
});

test("a sandbox is joined and separated while it runs, and its status shows its peers", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation("two"), { sandboxId: "one" }));
  sandboxIn(await node.ask(creation(), { sandboxId: "two" }));
  const joined = await node.ask(naming("one"), { sandboxId: "two" });
  assert.ok(joined.case === "updateNetwork");
  assert.deepEqual(joined.value.network?.peers, ["one"]);
  assert.equal(network.consents.size, 4);
  await node.ask(naming(), { sandboxId: "one" });
  assert.deepEqual([...network.consents], []);
});

test("a stopped sandbox is separated, and a start joins it again", async () => {
  const { node: started, network } = await networkedNode();
  await using node = started;
  sandboxIn(await node.ask(creation("two"), { sandboxId: "one" }));
  sandboxIn(await node.ask({ case: "stopSandbox", value: { force: true } }, { sandboxId: "one" }));
  sandboxIn(await node.ask(creation("one"), { sandboxId: "two" }));
  await node.ask({ case: "stopSandbox", value: { force: true } }, { sandboxId: "two" });
  assert.deepEqual([...network.consents], []);
  node.guest.reboot();
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }, { sandboxId: "two" }));
  assert.equal(network.consents.size, 4);
});
