import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { SandboxState } from "@paddock/protocol";
import { SANDBOX_POINTS } from "../harness/failpoints.ts";
import { hostSnapshot } from "../harness/host-snapshot.ts";
import { INTERRUPTIONS, interrupted } from "../harness/interrupted.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
let image: string;
const soon = () => ({ deadline: inSeconds(120) });
const id = () => ({ requestId: randomUUID() });
const snapshot = () => hostSnapshot(stack.stateDirectory);

before(async () => {
  stack = await Stack.start({}, { failpoints: true });
  image = await stack.tinyImage();
});
after(() => stack?.[Symbol.asyncDispose]());

describe("a sandbox whose creation is interrupted leaves the host as it was", () => {
  // After a creation with an unknown outcome, the id is reserved for its request for a while.
  const request = () => ({
    ...id(),
    sandboxId: `s-${randomUUID()}`,
    spec: { containers: [{ containerId: "c1", image, process: idle }] },
  });
  let clean: string[];
  before(async () => {
    // The first sandbox creates the files that all share, such as the template of writable layers.
    await runIdle(stack, "s0");
    await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId: "s0", force: true }, soon());
    clean = snapshot();
  });

  for (const point of SANDBOX_POINTS)
    for (const [how, action] of INTERRUPTIONS)
      test(`by ${how} at ${point}`, async () => {
        const asked = request();
        await interrupted(stack, point, action, () => stack.client.sandboxes.createSandbox(asked, soon()));
        assert.deepEqual(snapshot(), clean);
        await assert.rejects(stack.client.sandboxes.getSandbox(asked), { reason: "SANDBOX_NOT_FOUND" });
      });

  test("by an error, and by a kill of the daemon during the undo", async () => {
    await stack.failpoints.arm("sandbox/guest/after", "fail");
    const asked = request();
    await interrupted(stack, "sandbox/process/undo/before", "die", () =>
      stack.client.sandboxes.createSandbox(asked, soon()),
    );
    assert.deepEqual(snapshot(), clean);
  });

  test("and the same request creates it afterwards", async () => {
    const [point = ""] = SANDBOX_POINTS;
    const asked = request();
    await interrupted(stack, point, "die", () => stack.client.sandboxes.createSandbox(asked, soon()));
    const { sandbox } = await stack.client.sandboxes.createSandbox(asked, soon());
    assert.equal(sandbox?.status?.state, SandboxState.READY);
    await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId: asked.sandboxId }, soon());
    assert.deepEqual(snapshot(), clean);
  });
});
