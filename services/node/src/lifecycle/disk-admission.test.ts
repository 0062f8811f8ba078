import assert from "node:assert/strict";
import { test } from "node:test";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const reasonOf = (outcome: NamedOutcome): string => {
  if (outcome.case !== "error") return "no error";
  const text = Buffer.concat(outcome.value.details.map(({ value }) => value)).toString("latin1");
  return /[A-Z]{2,}(_[A-Z]+)+/.exec(text)?.[0] ?? outcome.value.message;
};

test("a layer that the host cannot promise is refused with the numbers, for a new sandbox and for one more container", async () => {
  await using node = await TestNode.start();
  const layer = { containerId: "c2", image: "tiny", writableLayerBytes: 200n * 1024n ** 3n };
  const first = { containers: [{ ...layer, containerId: "c1" }] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: first } }));
  const second = { case: "createSandbox", value: { sandboxId: "s2", spec: first } } as const;
  assert.equal(reasonOf(await node.ask(second)), "NO_DISK_SPACE");
  const more = { case: "createContainer", value: { spec: layer } } as const;
  assert.equal(reasonOf(await node.ask(more)), "NO_DISK_SPACE");
  const readOnly = { ...layer, readOnlyRootfs: true };
  assert.equal(
    (await node.ask({ case: "createContainer", value: { spec: readOnly } })).case,
    "createContainer",
  );
});
