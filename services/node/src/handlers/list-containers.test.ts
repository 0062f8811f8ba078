import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Container,
  ContainerState,
  fromStatus,
  type ListContainersRequestSchema,
  type ListContainersResponse,
} from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

/** A node with containers a1, a2 in sandbox `a` and c in `a-b`; a2 has a label. */
async function withContainers(): Promise<TestNode> {
  const node = await TestNode.start();
  const container = (containerId: string, labels: Record<string, string> = {}) => ({
    containerId,
    image: "tiny",
    labels,
  });
  const create = async (sandboxId: string, ...containers: ReturnType<typeof container>[]) =>
    sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }, { sandboxId }));
  await create("a-b", container("c"));
  await create("a", container("a2", { team: "web" }), container("a1"));
  return node;
}

async function list(
  node: TestNode,
  value: MessageInitShape<typeof ListContainersRequestSchema>,
): Promise<ListContainersResponse> {
  const outcome = await node.ask({ case: "listContainers", value }, { sandboxId: "" });
  assert.ok(outcome.case === "listContainers");
  return outcome.value;
}

const names = ({ containers }: ListContainersResponse) =>
  containers.map(({ sandboxId, containerId }) => `${sandboxId}/${containerId}`);

test("containers of a node are listed in order of sandbox and container, page by page", async () => {
  await using node = await withContainers();
  const first = await list(node, { pageSize: 2 });
  assert.deepEqual(names(first), ["a/a1", "a/a2"]);
  const second = await list(node, { pageSize: 2, pageToken: first.nextPageToken });
  assert.deepEqual([names(second), second.nextPageToken], [["a-b/c"], ""]);
  assert.equal(second.containers[0]?.status?.state, ContainerState.READY);
  assert.equal(second.containers[0]?.nodeId, node.context.nodeId);
});

test("containers are filtered by sandbox, label and state", async () => {
  await using node = await withContainers();
  assert.deepEqual(names(await list(node, { sandboxId: "a-b" })), ["a-b/c"]);
  assert.deepEqual(names(await list(node, { labels: { team: "web" } })), ["a/a2"]);
  assert.deepEqual(names(await list(node, { states: [ContainerState.RUNNING] })), []);
});

test("a container is shown with its current spec, and an unknown one is NOT_FOUND", async () => {
  await using node = await withContainers();
  const get = async (containerId: string): Promise<Container | string | undefined> => {
    const outcome = await node.ask({ case: "getContainer", value: { containerId } }, { sandboxId: "a" });
    if (outcome.case === "error") return fromStatus(outcome.value).reason;
    assert.ok(outcome.case === "getContainer");
    return outcome.value.container;
  };
  const resources = { pids: 50n };
  const value = { containerId: "a1", resources };
  const updated = await node.ask({ case: "updateContainer", value }, { sandboxId: "a" });
  assert.equal(updated.case, "updateContainer");
  const found = await get("a1");
  assert.ok(typeof found === "object");
  assert.equal(found.spec?.resources?.pids, 50n);
  assert.equal(found.spec?.log?.maxFiles, 5, "defaults are filled in");
  assert.equal(found.spec?.writableLayerBytes, 1024n ** 3n);
  assert.equal(found.status?.image, "tiny");
  assert.equal(await get("none"), "CONTAINER_NOT_FOUND");
});

test("a sandbox is shown with its spec's defaults filled in and its current containers", async () => {
  await using node = await withContainers();
  const asked = { sandboxId: "a" };
  const spec = { containerId: "later", image: "tiny" };
  assert.equal((await node.ask({ case: "createContainer", value: { spec } }, asked)).case, "createContainer");
  const removed = await node.ask({ case: "deleteContainer", value: { containerId: "a1" } }, asked);
  assert.equal(removed.case, "deleteContainer");
  const sandbox = sandboxIn(await node.ask({ case: "getSandbox", value: {} }, asked));
  assert.deepEqual(
    sandbox.spec?.containers.map(({ containerId }) => containerId),
    ["a2", "later"],
  );
  assert.equal(sandbox.spec?.hostname, "a");
  assert.equal(sandbox.spec?.shmSizeBytes, 64n * 1024n ** 2n);
  assert.equal(sandbox.spec?.resources?.vcpus, sandbox.status?.size?.vcpus);
  assert.equal(sandbox.spec?.resources?.maxMemoryBytes, sandbox.status?.maxSize?.memoryBytes);
});
