import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerState } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const START = { case: "startContainer", value: { containerId: "c1" } } as const;

/** A node whose daemon died after the guest executed c1, which ended with code 7, and before the guest's answer arrived. */
async function diedInStart(node: TestNode, restarted: boolean): Promise<{ starts: number }> {
  const counted = { starts: 0 };
  if (restarted) {
    await node.ask(START, { requestId: "earlier" });
    node.guest.end("c1", { code: 3 });
    const entry = node.context.sandboxes.require("s1");
    const hasEnded = entry.reaches(isStopped, AbortSignal.timeout(5000));
    assert.ok(await hasEnded);
  }
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = async (call) => {
    if (call !== "startContainer") return;
    counted.starts++;
    node.guest.end("c1", { code: 7 }, true);
    reached.resolve();
    await node.forever;
  };
  void node.ask(START, { requestId: "start" });
  await reached.promise;
  await node.crash();
  assert.ok(await node.context.sandboxes.require("s1").reaches(isStopped, AbortSignal.timeout(5000)));
  node.guest.onCall = async (call) => {
    if (call === "startContainer") counted.starts++;
  };
  return counted;
}

const isStopped = ({ containers }: { containers: readonly { phase: { kind: string } }[] }) =>
  containers.some(({ phase }) => phase.kind === "stopped");

for (const restarted of [false, true])
  test(`a repeated ${restarted ? "second " : ""}start does not run a container again that ended while the daemon was dead`, async () => {
    await using node = await TestNode.start();
    sandboxIn(await node.ask({ case: "runSandbox", value: { spec: { containers: [] } } }));
    const spec = { containerId: "c1", image: "tiny" };
    assert.equal((await node.ask({ case: "createContainer", value: { spec } })).case, "createContainer");
    const counted = await diedInStart(node, restarted);
    const again = await node.ask(START, { requestId: "start" });
    assert.ok(again.case === "startContainer");
    assert.equal(again.value.container?.state, ContainerState.STOPPED);
    assert.equal(again.value.container?.exitStatus?.code, 7);
    assert.equal(counted.starts, 1);
    const another = await node.ask(START, { requestId: "another" });
    assert.ok(another.case === "startContainer");
    assert.equal(another.value.container?.state, ContainerState.RUNNING);
    assert.equal(counted.starts, 2, "another start runs it again");
  });
