import assert from "node:assert/strict";
import { test } from "node:test";
import { parseContainerId } from "@paddock/domain";
import { fromStatus } from "@paddock/rpc";
import { MAX_CONTAINERS } from "../containers/container-disks.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

test("one container more than a VM has disks for is refused before anything is touched, and made once there is room", async () => {
  await using node = await TestNode.start();
  const spec = { containers: [{ containerId: "c0", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  const entry = node.context.sandboxes.require("s1");
  const fill = (count: number) =>
    entry.update((record) => ({
      ...record,
      containers: Array.from({ length: count }, (_, index) => {
        const [container] = record.containers;
        const containerId = parseContainerId(`c${index}`);
        assert.ok(container && containerId);
        return { ...container, containerId, index };
      }),
    }));
  const create = () =>
    node.ask({ case: "createContainer", value: { spec: { containerId: "more", image: "tiny" } } });
  fill(MAX_CONTAINERS);
  const refused = await create();
  assert.ok(refused.case === "error");
  assert.equal(fromStatus(refused.value).reason, "TOO_MANY");
  assert.equal(entry.record.containers.length, 128);
  assert.deepEqual(node.context.store.unfinished(), []);
  fill(MAX_CONTAINERS - 1);
  assert.equal((await create()).case, "createContainer");
});
