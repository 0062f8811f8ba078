import assert from "node:assert/strict";
import { test } from "node:test";
import { countSyncs } from "./testing/count-syncs.ts";
import { sandboxIn, TestNode } from "./testing/test-node.ts";

test("creating a container syncs before its file is created and after it is added, a stop at its end", async (t) => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: {} } }));
  const syncs = countSyncs(t);
  const spec = { containerId: "c1", image: "tiny" };
  assert.equal((await node.ask({ case: "createContainer", value: { spec } })).case, "createContainer");
  assert.equal(syncs(), 2);
  assert.equal((await node.ask({ case: "stopSandbox", value: { force: true } })).case, "stopSandbox");
  assert.equal(syncs(), 4);
});

test("a creation syncs at its start and when the sandbox is ready, a deletion likewise, and a repeat never", async (t) => {
  await using node = await TestNode.start();
  const syncs = countSyncs(t);
  const costOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = syncs();
    await work();
    return syncs() - before;
  };
  for (const count of [0, 1, 5]) {
    const containers = Array.from({ length: count }, (_, index) => ({
      containerId: `c${index}`,
      image: "tiny",
    }));
    const create = async () =>
      sandboxIn(
        await node.ask(
          { case: "createSandbox", value: { spec: { containers } } },
          { requestId: `r${count}` },
        ),
      );
    const remove = async () =>
      assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
    assert.deepEqual(
      [await costOf(create), await costOf(create), await costOf(remove)],
      [2, 0, 2],
      `with ${count} containers`,
    );
  }
});
