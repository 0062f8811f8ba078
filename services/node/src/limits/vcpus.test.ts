/** vCPUs that all exist from the start, of which the guest uses the number it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ResourceEffect, type ResourceOutcome } from "@paddock/protocol";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

async function emulated(): Promise<TestNode> {
  const node = await TestNode.start();
  node.machines.vcpuControl = "guest";
  const containers = [{ containerId: "c1", image: "tiny", resources: { cpuQuotaUs: 50_000n } }];
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  return node;
}

const update = (node: TestNode, cpus: number) =>
  node.ask({
    case: "updateContainer",
    value: { containerId: "c1", resources: { cpuQuotaUs: BigInt(cpus * 100_000) } },
  });

function vcpusIn(outcome: NamedOutcome): ResourceOutcome | undefined {
  assert.ok(outcome.case === "updateContainer", `it is ${outcome.case}`);
  return outcome.value.outcomes.find(({ field }) => field === "vm.vcpus");
}

const shownVcpus = async (node: TestNode) =>
  sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.size?.vcpus;

test("a machine starts with all its vCPUs, and its guest is told how many to use", async () => {
  await using node = await emulated();
  assert.equal(node.machines.only.vcpus, 4);
  assert.equal([...node.cgroups.threadsOf.values()][0]?.length, 4, "the cap applies to all");
  assert.equal(await shownVcpus(node), 1);
  const grown = vcpusIn(await update(node, 2));
  assert.deepEqual([grown?.effect, grown?.inForce?.value.value], [ResourceEffect.LIVE, 2n]);
  assert.equal(node.guest.onlineCpus, 2);
  assert.equal(await shownVcpus(node), 2);
  const shrunk = vcpusIn(await update(node, 1));
  assert.deepEqual([shrunk?.effect, shrunk?.inForce?.value.value], [ResourceEffect.LIVE, 1n]);
  assert.equal(node.guest.onlineCpus, 1);
});

test("a daemon that takes over a machine asks the guest how many vCPUs it uses", async () => {
  await using node = await emulated();
  await update(node, 3);
  await node.crash();
  // The guest has two seconds to answer. On a busy host the connection alone may take them.
  const { vm } = node.context.sandboxes.require("s1");
  await vm?.link.client({ signal: AbortSignal.timeout(60_000), deadlineMs: 60_000 });
  const told: number[] = [];
  node.guest.onCall = async (call) => void (call === "setOnlineCpus" && told.push(node.guest.onlineCpus));
  assert.equal(vcpusIn(await update(node, 2))?.inForce?.value.value, 2n);
  assert.deepEqual(told, [3], "the guest is told once, when the number changes");
});

test("a guest that fails to change its vCPUs keeps them until it is told again or started again", async () => {
  await using node = await emulated();
  node.guest.onCall = async (call) => {
    if (call === "setOnlineCpus") throw new Error("it cannot");
  };
  const kept = vcpusIn(await update(node, 2));
  assert.deepEqual(
    [kept?.effect, kept?.inForce?.value.value, kept?.requested?.value.value],
    [ResourceEffect.NEXT_START, 1n, 2n],
  );
  node.guest.onCall = async () => undefined;
  assert.equal(vcpusIn(await update(node, 2))?.inForce?.value.value, 2n);
  assert.equal(node.guest.onlineCpus, 2);
});
