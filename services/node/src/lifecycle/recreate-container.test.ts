import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerState } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
const running = async (node: TestNode) => {
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  return sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
};
const shown = async (node: TestNode) => sandboxIn(await node.ask({ case: "getSandbox", value: {} }));

/** Settles when the container's phase is accepted. */
const reaches = (node: TestNode, accept: (phase: { kind: string }) => boolean) =>
  node.context.sandboxes
    .require("s1")
    .reaches(({ containers }) => containers.some(({ phase }) => accept(phase)), AbortSignal.timeout(5000));

test("a start of an ended container creates it again in the guest", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.guest.end("c1", { code: 3 });
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  const again = await node.ask({ case: "startContainer", value: { containerId: "c1" } });
  assert.ok(again.case === "startContainer");
  assert.equal(again.value.container?.state, ContainerState.RUNNING);
  assert.equal(again.value.container?.exitStatus, undefined);
  assert.equal(again.value.container?.restartCount, 1);
  node.guest.end("c1", { code: 4 });
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  await node.crash();
  const [container] = (await shown(node)).status?.containers ?? [];
  assert.equal(container?.exitStatus?.code, 4);
});

test("a container that cannot be recreated keeps its exit status, and can be started again", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.guest.end("c1", { code: 3 });
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  node.guest.onCall = async (call) => {
    if (call === "createContainer") throw new Error("it broke");
  };
  const refused = await node.ask({ case: "startContainer", value: { containerId: "c1" } });
  assert.equal(refused.case, "error");
  const [container] = (await shown(node)).status?.containers ?? [];
  assert.equal(container?.state, ContainerState.STOPPED);
  assert.equal(container?.exitStatus?.code, 3);
  node.guest.onCall = async () => undefined;
  const again = await node.ask({ case: "startContainer", value: { containerId: "c1" } });
  assert.equal(again.case, "startContainer");
});

test("an exit that is reported after a restart does not end the second run", async () => {
  await using node = await TestNode.start();
  await running(node);
  const instance = node.guest.containers.get("c1")?.instance ?? "";
  node.guest.end("c1", { code: 3 });
  assert.ok(await reaches(node, ({ kind }) => kind === "stopped"));
  await node.ask({ case: "startContainer", value: { containerId: "c1" } });
  const late = { containerId: "c1", execId: "c1", status: { code: 3 } };
  node.guest.tell({ case: "processExited", value: { ...late, instance } });
  node.guest.tell({ case: "containerOom", value: { containerId: "c1", oomKillCount: 1n } });
  const entry = node.context.sandboxes.require("s1");
  const seesLater = entry.reaches(
    ({ containers }) => containers[0]?.oomKillCount === 1,
    AbortSignal.timeout(5000),
  );
  assert.ok(await seesLater);
  assert.equal(entry.record.containers[0]?.phase.kind, "running");
});
