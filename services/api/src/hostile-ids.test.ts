import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ContainerService, NodeService, SandboxService } from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, caught } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let node: FakeNode;
before(async () => {
  bench = await ApiBench.start(startNats);
  node = await bench.node("n1");
});
after(() => bench[Symbol.asyncDispose]());

const sandboxes = () => bench.connection.service(SandboxService);
const containers = () => bench.connection.service(ContainerService);
const nodes = () => bench.connection.service(NodeService);

const hostile = ["../x", "a/b", "a\0b", "x".repeat(129), "-rf", "$(id)", "*", ">", ".", " ", "é", "a\n"];
for (const id of hostile) {
  test(`the hostile id ${JSON.stringify(id.slice(0, 8))} is refused in every field with an id, and the error has the path of the field`, async () => {
    const spec = { containers: [{ containerId: id, image: "x" }] };
    const create = await caught(sandboxes().createSandbox({ requestId: "r", sandboxId: id, spec }));
    assert.deepEqual([...new Set(create.violations.map(({ field }) => field))].sort(), [
      "sandbox_id",
      "spec.containers[0].container_id",
    ]);
    const start = await caught(
      containers().startContainer({ requestId: "r", sandboxId: id, containerId: id }),
    );
    assert.equal(start.reason, "INVALID_FIELD");
    assert.deepEqual(
      [...new Set(start.violations.map(({ field }) => field))],
      ["sandbox_id", "container_id"],
    );
    assert.equal((await caught(nodes().getNode({ nodeId: id }))).violations[0]?.field, "node_id");
    assert.equal(node.seen.length, 0, "nothing reached the node");
  });
}
