import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_CONTAINERS } from "../record/container-place.ts";
import { TestNode } from "../testing/test-node.ts";

test("a spec with more containers than a VM has disks for is refused by the schema, before any change", async () => {
  await using node = await TestNode.start();
  const containers = Array.from({ length: MAX_CONTAINERS + 1 }, (_, index) => ({
    containerId: `c${index}`,
    image: "tiny",
  }));
  const outcome = await node.ask({ case: "createSandbox", value: { spec: { containers } } });
  assert.ok(outcome.case === "error");
  const details = Buffer.concat(outcome.value.details.map(({ value }) => value)).toString("latin1");
  assert.match(details, /INVALID_FIELD/);
  assert.match(details, /spec\.containers/);
  assert.deepEqual(node.leftovers(), []);
});

test("a spec too large for an answer is refused before any change", async () => {
  await using node = await TestNode.start();
  const process = {
    args: ["sh"],
    env: Array.from({ length: 30 }, (_, index) => `V${index}=${"x".repeat(30_000)}`),
  };
  const containers = [{ containerId: "c1", image: "tiny", process }];
  const outcome = await node.ask({ case: "createSandbox", value: { spec: { containers } } });
  assert.ok(outcome.case === "error");
  assert.match(outcome.value.message, /^the spec has 9\d{5} bytes/);
  assert.deepEqual(node.leftovers(), []);
});
