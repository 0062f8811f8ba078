import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { ContainerSpecSchema, fromStatus, ProcessSpecSchema } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

/** Bound on the specs of a sandbox's containers together. */
const MAX_BYTES = 1024 * 1024;

test("an update that makes a record too large is refused and changes nothing; one that makes it smaller is accepted", async () => {
  await using node = await TestNode.start();
  const containers = [{ containerId: "c0", image: "tiny", resources: { pids: -1n } }];
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }));
  const entry = node.context.sandboxes.require("s1");
  const bytes = () =>
    entry.record.containers.reduce((sum, { spec }) => sum + toBinary(ContainerSpecSchema, spec).length, 0);
  const fill = (length: number) =>
    entry.update((record) => ({
      ...record,
      containers: record.containers.map((container) => ({
        ...container,
        spec: {
          ...container.spec,
          process: create(ProcessSpecSchema, { env: [`A=${"x".repeat(length)}`] }),
        },
      })),
    }));
  fill(1_000_000);
  fill(1_000_000 + MAX_BYTES - bytes());
  assert.equal(bytes(), MAX_BYTES);
  const update = (resources: { cpuShares?: bigint; pids?: bigint }) =>
    node.ask({ case: "updateContainer", value: { containerId: "c0", resources } });
  const before = entry.record;
  const refused = await update({ cpuShares: 512n });
  assert.ok(refused.case === "error");
  assert.equal(fromStatus(refused.value).reason, "TOO_LARGE");
  assert.equal(entry.record, before);
  assert.deepEqual(node.operations(), []);
  fill(1_100_000);
  assert.ok(bytes() > MAX_BYTES, "the record is already too large");
  assert.equal((await update({ pids: 5n })).case, "updateContainer");
});
