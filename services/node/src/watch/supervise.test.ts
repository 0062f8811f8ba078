import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

test("when the guest's list of containers fails, the cause is logged, the guest is asked again, and exits are recorded", async () => {
  await using node = await TestNode.start();
  const warnings: unknown[] = [];
  Object.assign(node.context.log, { warn: (about: { err?: Error }) => warnings.push(about.err?.message) });
  let failures = 2;
  node.guest.onCall = async (name) => {
    if (name === "listContainers" && failures-- > 0) throw new ConnectError("out of order", Code.Internal);
  };
  const spec = { containers: [{ containerId: "c0", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  await node.ask({ case: "startSandbox", value: {} });
  const entry = node.context.sandboxes.require("s1");
  node.guest.end("c0", { code: 3 });
  const ended = await entry.reaches(
    ({ containers: [container] }) => container?.phase.kind === "stopped",
    AbortSignal.timeout(20_000),
  );
  assert.ok(ended, "the exit was not recorded");
  assert.equal(warnings.length, 2);
  assert.match(String(warnings[0]), /ListContainers in the guest failed: out of order/);
});

test("a guest lists containers without execs, and is asked for one container at a time when its list is too long", async () => {
  await using node = await TestNode.start();
  node.guest.onCall = async (name) => {
    if (name === "listContainers") throw new ConnectError("too large", Code.ResourceExhausted);
  };
  const spec = { containers: [{ containerId: "c0", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  await node.ask({ case: "startSandbox", value: {} });
  const entry = node.context.sandboxes.require("s1");
  node.guest.end("c0", { code: 3 });
  const ended = (record: typeof entry.record) => record.containers[0]?.phase.kind === "stopped";
  assert.ok(await entry.reaches(ended, AbortSignal.timeout(20_000)), "the exit was not recorded");
  assert.equal(node.guest.listedWithExecs, false);
});
