import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { parseContainerId } from "@paddock/domain";
import { fromStatus, SandboxSchema } from "@paddock/protocol";
import { MAX_CONTAINERS } from "../record/container-place.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

test("a container for which the VM has no disk left is refused before any change, and created once there is room", async () => {
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
  assert.deepEqual(node.operations(), []);
  fill(MAX_CONTAINERS - 1);
  assert.equal((await create()).case, "createContainer");
});

test("containers created one by one never make the record too large, and a smaller one still fits", async () => {
  await using node = await TestNode.start();
  const first = { containerId: "c0", image: "tiny" };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers: [first] } } }));
  const entry = node.context.sandboxes.require("s1");
  const env = [`A=${"x".repeat(120_000)}`];
  const create = (index: number, process = { env }) =>
    node.ask({
      case: "createContainer",
      value: { spec: { containerId: `c${index}`, image: "tiny", process } },
    });
  let refused = await create(1);
  for (let index = 2; refused.case === "createContainer" && index < 40; index += 1)
    refused = await create(index);
  assert.ok(refused.case === "error", "no record is too large");
  const { reason, hint } = fromStatus(refused.value);
  assert.equal(reason, "TOO_LARGE");
  assert.match(hint ?? "", /delete containers/);
  assert.equal(entry.record.containers.length, 9);
  assert.deepEqual(node.operations(), []);
  assert.equal((await create(39, { env: ["A=x"] })).case, "createContainer");
});

test("labels of many containers never make a sandbox too large for an answer", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: {} } }));
  const labels = Object.fromEntries(
    Array.from({ length: 64 }, (_, index) => [`label${index}`, "v".repeat(256)]),
  );
  const create = (index: number) =>
    node.ask({
      case: "createContainer",
      value: { spec: { containerId: `c${index}`, image: "tiny", labels } },
    });
  let outcome = await create(0);
  for (let index = 1; outcome.case === "createContainer" && index < 100; index += 1)
    outcome = await create(index);
  assert.ok(outcome.case === "error");
  assert.equal(fromStatus(outcome.value).reason, "TOO_LARGE");
  const shown = await node.ask({ case: "getSandbox", value: {} });
  assert.ok(toBinary(SandboxSchema, sandboxIn(shown)).length < 1024 * 1024);
});
