import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { EventSchema, type Health, StopCause } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import { watchHealth } from "./watch-health.ts";

async function running(): Promise<TestNode> {
  const node = await TestNode.start();
  const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  return node;
}

const entryOf = (node: TestNode) => node.context.sandboxes.require("s1");
const reaches = async (node: TestNode, accept: () => boolean) =>
  assert.ok(
    await entryOf(node).reaches(accept, AbortSignal.timeout(5000)),
    "the expected state was not reached",
  );
const healthChanges = (node: TestNode): Health[] =>
  node.context.store.outbox(1000).flatMap(({ event }) => {
    const { change } = fromBinary(EventSchema, event);
    return change.case === "health" ? [change.value] : [];
  });

test("a guest that stops answering is reported, and so is its next answer; a paused guest is not asked", async () => {
  await using node = await running();
  const entry = entryOf(node);
  const { vm } = entry;
  assert.ok(vm);
  let silent = true;
  let asked = 0;
  const figures = await node.cgroups.usage();
  let vcpuUs = 0n;
  node.cgroups.usage = async () => {
    vcpuUs += 1_500_000n;
    return { ...figures, vcpuUs };
  };
  node.guest.onCall = async (name) => {
    if (name !== "getGuest") return;
    asked += 1;
    if (silent) await node.forever;
  };
  const watching = watchHealth(node.context, entry, vm, { intervalMs: 10, patienceMs: 50 });
  await reaches(node, () => entry.record.unhealthy !== undefined);
  silent = false;
  await reaches(node, () => entry.record.unhealthy === undefined);
  assert.deepEqual(
    healthChanges(node).map(({ healthy, detail }) => ({ healthy, detail })),
    [
      {
        healthy: false,
        detail: "the guest did not answer within 50 ms; its vCPUs had 1.50 s of CPU time meanwhile",
      },
      { healthy: true, detail: "" },
    ],
  );
  await node.ask({ case: "pauseSandbox", value: {} });
  const before = asked;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(asked <= before + 1, "except for a check in progress");
  await node.ask({ case: "stopSandbox", value: { force: true } });
  await watching;
});

test("a guest is checked at once when a ping shows a change, and otherwise at the interval", async () => {
  await using node = await running();
  const entry = entryOf(node);
  const { vm } = entry;
  assert.ok(vm);
  const pinged = Promise.withResolvers<void>();
  let [pings, asked] = [0, 0];
  let answers = true;
  node.guest.onCall = async (name) => {
    if (name !== "getGuest") return;
    asked += 1;
    if (!answers) await node.forever;
  };
  const answersPing = async () => {
    pings += 1;
    if (pings === 10) pinged.resolve();
    return answers;
  };
  const times = { intervalMs: 3_600_000, patienceMs: 500, pingEveryMs: 5 };
  const watching = watchHealth(node.context, entry, vm, { ...times, answersPing });
  await pinged.promise;
  assert.deepEqual([asked, entry.record.unhealthy], [0, undefined]);
  answers = false;
  await reaches(node, () => entry.record.unhealthy !== undefined);
  assert.ok(asked > 0);
  answers = true;
  await reaches(node, () => entry.record.unhealthy === undefined);
  await node.ask({ case: "stopSandbox", value: { force: true } });
  await watching;
});

test("a VM suspended by a full disk is reported at once and accepts no calls; when it continues, the guest's clock is set", async () => {
  await using node = await running();
  const entry = entryOf(node);
  let configured = 0;
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") configured++;
  };
  node.machines.hold(true);
  await reaches(node, () => entry.record.unhealthy !== undefined);
  const why = "the VM of sandbox s1 is suspended: its node's disk is full";
  const unhealthy = async () =>
    sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.health?.detail;
  assert.equal(await unhealthy(), why);
  const refused = await node.ask({ case: "killContainer", value: { containerId: "c1" } });
  assert.equal(refused.case === "error" && refused.value.message, why);
  assert.equal(configured, 0);
  node.machines.hold(false);
  await reaches(node, () => entry.record.unhealthy === undefined);
  assert.equal(configured, 1);
  assert.equal(await unhealthy(), "");
  assert.equal(
    (await node.ask({ case: "killContainer", value: { containerId: "c1" } })).case,
    "killContainer",
  );
  assert.deepEqual(
    healthChanges(node).map(({ detail }) => detail),
    [why, ""],
  );
});

test("a sandbox whose VM is suspended by a full disk is stopped and deleted like one with a silent guest", async () => {
  await using node = await running();
  node.machines.hold(true);
  const { status } = sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.deepEqual(
    [status?.stopCause, status?.stopEvidence],
    [StopCause.GUEST_UNRESPONSIVE, "the VM of sandbox s1 is suspended: its node's disk is full"],
  );
  await node.ask({ case: "deleteSandbox", value: {} });
  assert.deepEqual(node.leftovers(), []);
});
