import assert from "node:assert/strict";
import { test } from "node:test";
import { agentpb, ResourceEffect } from "@paddock/protocol";
import { guestRefusal } from "../testing/guest-refusal.ts";
import type { NamedOutcome } from "../testing/named-command.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const MIB = 1024 * 1024;
const limited = (containerId: string, cpus: number, memoryMib = 0) => ({
  containerId,
  image: "tiny",
  resources: {
    cpuQuotaUs: BigInt(cpus * 100_000),
    ...(memoryMib > 0 && { memoryBytes: BigInt(memoryMib * MIB) }),
  },
});

async function running(node: TestNode, ...containers: object[]): Promise<void> {
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
}

const update = (node: TestNode, containerId: string, resources: object) =>
  node.ask({ case: "updateContainer", value: { containerId, resources } });

function outcomesIn(outcome: NamedOutcome) {
  assert.ok(
    outcome.case === "updateContainer",
    outcome.case === "error" ? outcome.value.message : "no answer",
  );
  return outcome.value.outcomes;
}

/** The sandbox's limits on the host. */
function onHost(node: TestNode) {
  const [limits, ...others] = [...node.cgroups.limitsOf.values()];
  assert.ok(limits !== undefined && others.length === 0);
  return limits;
}

/** The cap in CPUs; undefined when there is none. */
const cap = (node: TestNode): number | undefined => {
  const { cpu } = onHost(node);
  return cpu && cpu.quotaUs / cpu.periodUs;
};

/** Settles when applied limits are accepted. */
function applied(node: TestNode, accept: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  node.cgroups.onApplied = () => {
    if (accept()) resolve();
  };
  return promise;
}

test("a sandbox is capped at the sum of its containers once it has booted, and its vCPU threads are placed", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 0.5), limited("c2", 1));
  assert.equal(cap(node), 1.5);
  assert.equal([...node.cgroups.threadsOf.values()][0]?.length, 2);
  const { status } = sandboxIn(await node.ask({ case: "getSandbox", value: {} }));
  assert.equal(status?.limits?.cpuQuotaUs, 150_000n);
  assert.equal(
    status?.limits?.memoryBytes,
    (status?.size?.memoryBytes ?? 0n) + (status?.limits?.memoryOverheadBytes ?? 0n),
  );
});

test("a container without a quota lifts the cap, and its end restores it", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 0.5), { containerId: "free", image: "tiny" });
  assert.equal(cap(node), undefined);
  const capped = applied(node, () => cap(node) === 0.5);
  node.guest.end("free", { code: 0 });
  await capped;
});

test("the end of a container lowers the cap while another one is being stopped", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1), limited("c2", 0.5));
  node.guest.obeysSigterm = false;
  const asked = Promise.withResolvers<void>();
  node.guest.onCall = async (call) => void (call === "killContainer" && asked.resolve());
  const grace = { seconds: 60n, nanos: 0 };
  const stopping = node.ask({ case: "stopContainer", value: { containerId: "c1", grace } });
  await asked.promise;
  const lowered = applied(node, () => cap(node) === 1);
  node.guest.end("c2", { code: 0 });
  await lowered;
  const { status } = sandboxIn(await node.ask({ case: "getSandbox", value: {} }));
  assert.equal(status?.lock?.holder, "StopContainer");
  node.guest.end("c1", { code: 0 });
  assert.equal((await stopping).case, "stopContainer");
});

test("the deletion of a container lowers cap and shares", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 0.5), limited("c2", 1));
  assert.equal(onHost(node).cpuShares, 2048);
  const lowered = applied(node, () => cap(node) === 0.5);
  assert.equal(
    (await node.ask({ case: "deleteContainer", value: { containerId: "c2", force: true } })).case,
    "deleteContainer",
  );
  await lowered;
  assert.equal(onHost(node).cpuShares, 1024);
});

test("adding a container makes the VM grow, and deleting it makes the VM shrink", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  const value = { spec: limited("c2", 2) };
  assert.equal((await node.ask({ case: "createContainer", value })).case, "createContainer");
  assert.equal(node.machines.only.vcpus, 3);
  assert.equal(cap(node), 3);
  assert.equal([...node.cgroups.threadsOf.values()][0]?.length, 3);
  const lowered = applied(node, () => node.machines.only.vcpus === 1);
  await node.ask({ case: "deleteContainer", value: { containerId: "c2", force: true } });
  await lowered;
});

test("a container beyond the VM's maximum is refused before any change", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  const before = onHost(node);
  assert.equal(
    (await node.ask({ case: "createContainer", value: { spec: limited("c2", 4) } })).case,
    "error",
  );
  assert.deepEqual(onHost(node), before);
  assert.equal(node.machines.only.vcpus, 1);
});

test("an update applies on the host, in the guest and in the record, and is reported as applied", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1, 128));
  const outcomes = outcomesIn(await update(node, "c1", { cpuQuotaUs: 250_000n, pids: 50n }));
  assert.deepEqual(
    outcomes.map(({ field, requested, inForce, effect }) => [
      field,
      requested?.value.value,
      inForce?.value.value,
      effect,
    ]),
    [
      ["cpu_quota_us", 250_000n, 250_000n, ResourceEffect.LIVE],
      ["pids", 50n, 50n, ResourceEffect.LIVE],
      ["vm.vcpus", 3n, 3n, ResourceEffect.LIVE],
    ],
  );
  assert.equal(cap(node), 2.5);
  const guest = node.guest.limits.get("c1");
  assert.deepEqual([guest?.cpuQuotaUs, guest?.memoryBytes, guest?.pids], [250_000n, BigInt(128 * MIB), 50n]);
  const [container] = sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.containers ?? [];
  assert.equal(container?.resources?.cpuQuotaUs, 250_000n);
  assert.equal(
    container?.resources?.memoryBytes,
    BigInt(128 * MIB),
    "a limit that the update does not name is kept",
  );
  assert.deepEqual(container?.resourcesInForce, container?.resources);
});

test("an update that the guest refuses changes nothing", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  const before = { host: onHost(node), record: node.context.sandboxes.require("s1").record };
  let calls = 0;
  node.guest.onCall = async (name) => {
    if (name === "updateContainer" && calls++ === 0)
      throw guestRefusal(agentpb.FailureReason.LIMIT_BELOW_USE, "in use");
  };
  const refused = await update(node, "c1", { cpuQuotaUs: 300_000n });
  assert.equal(refused.case, "error");
  assert.deepEqual(onHost(node), before.host);
  assert.equal(node.machines.only.vcpus, 1);
  assert.equal(node.guest.limits.get("c1")?.cpuQuotaUs, 100_000n);
  assert.deepEqual(node.context.sandboxes.require("s1").record, before.record);
  assert.deepEqual(node.operations(), []);
});

test("an update beyond the VM's maximum or the host's capacity is refused and changes nothing", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  const before = onHost(node);
  assert.equal((await update(node, "c1", { cpuQuotaUs: 500_000n })).case, "error");
  assert.equal((await update(node, "c1", { memoryBytes: BigInt(4096 * MIB) })).case, "error");
  assert.deepEqual(onHost(node), before);
});

test("two concurrent updates do not get the same room", async () => {
  await using node = await TestNode.start();
  for (const sandboxId of ["s1", "s2"]) {
    const value = { spec: { containers: [limited("c1", 1)] } };
    sandboxIn(await node.ask({ case: "createSandbox", value }, { sandboxId }));
    sandboxIn(await node.ask({ case: "startSandbox", value: {} }, { sandboxId }));
  }
  const grown = await Promise.all(
    ["s1", "s2"].map((sandboxId) =>
      node.ask(
        { case: "updateContainer", value: { containerId: "c1", resources: { cpuQuotaUs: 300_000n } } },
        { sandboxId },
      ),
    ),
  );
  assert.deepEqual(grown.map((outcome) => outcome.case).sort(), ["error", "updateContainer"]);
});

test("an update that a crash interrupts is undone by the next daemon", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = async (name) => {
    if (name !== "updateContainer") return;
    reached.resolve();
    await node.forever;
  };
  void update(node, "c1", { cpuQuotaUs: 300_000n });
  await reached.promise;
  assert.equal(cap(node), 3);
  node.guest.onCall = async () => undefined;
  const settled = applied(node, () => cap(node) === 1);
  await node.crash();
  await settled;
  assert.equal(node.guest.limits.get("c1")?.cpuQuotaUs, 100_000n);
  assert.deepEqual(node.operations(), []);
});

test("vCPUs that the guest keeps are reported as waiting, and are unplugged when it releases them", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  outcomesIn(await update(node, "c1", { cpuQuotaUs: 300_000n }));
  node.machines.onSetVcpus = async (vcpus) => Math.max(3, vcpus);
  const outcomes = outcomesIn(await update(node, "c1", { cpuQuotaUs: 100_000n }));
  const vm = outcomes.find(({ field }) => field === "vm.vcpus");
  assert.deepEqual(
    [vm?.requested?.value.value, vm?.inForce?.value.value, vm?.effect],
    [1n, 3n, ResourceEffect.NEXT_START],
  );
  assert.notEqual(vm?.reason, "");
  assert.equal(cap(node), 1, "the cap does not wait for the guest");
  node.machines.onSetVcpus = async (vcpus) => vcpus;
  const taken = applied(node, () => node.machines.only.vcpus === 1);
  node.machines.resized();
  await taken;
});

test("containers with different host CPUs run on different vCPUs", async () => {
  await using node = await TestNode.start();
  const on = (containerId: string, cpusetCpus: string) => ({
    containerId,
    image: "tiny",
    resources: { cpuQuotaUs: 100_000n, cpusetCpus },
  });
  await running(node, on("c1", "1"), on("c2", "3"));
  assert.equal(onHost(node).cpuset, "1,3");
  assert.equal(node.guest.limits.get("c1")?.cpusetCpus, "0");
  assert.equal(node.guest.limits.get("c2")?.cpusetCpus, "1");
  assert.deepEqual(node.machines.only.pins, ["1", "3"]);
  assert.equal(node.machines.only.pinnedTo, "1,3", "QEMU's other threads run on their CPUs");
  const lifted = applied(node, () => onHost(node).cpuset === "1");
  await node.ask({ case: "deleteContainer", value: { containerId: "c2", force: true } });
  await lifted;
});

test("disk rates are enforced by the guest and by QEMU", async () => {
  await using node = await TestNode.start();
  await running(node, limited("c1", 1));
  outcomesIn(await update(node, "c1", { io: { writeBytesPerSecond: 1_048_576n } }));
  const disks = node.guest.limits.get("c1")?.disks ?? [];
  assert.deepEqual(
    disks.map(({ target, writeBytesPerSecond }) => [target, writeBytesPerSecond]),
    [
      [0, 1_048_576n],
      [1, 1_048_576n],
    ],
  );
  assert.equal(node.machines.only.rates.get("layer0")?.writeBytesPerSecond, 1_048_576);
});

test("a VM that reports more than its maximum does not raise its limits on the host", async () => {
  await using node = await TestNode.start();
  const spec = { resources: { maxMemoryBytes: BigInt(512 * MIB) }, containers: [limited("c1", 1, 128)] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  const before = onHost(node);
  node.machines.onSetMemory = async () => 2 ** 60;
  node.machines.onSetVcpus = async () => 10_000;
  outcomesIn(await update(node, "c1", { memoryBytes: BigInt(256 * MIB), cpuQuotaUs: 200_000n }));
  const { size } = node.context.sandboxes.require("s1").record;
  const most = (size.maxMemoryBytes ?? size.memoryBytes) + node.context.vmOverheadBytes;
  assert.ok(before.memoryBytes <= most && onHost(node).memoryBytes <= most, `${onHost(node).memoryBytes}`);
  node.machines.only.memoryBytes = -(2 ** 60);
  outcomesIn(await update(node, "c1", { cpuQuotaUs: 100_000n }));
  assert.ok(onHost(node).memoryBytes >= size.memoryBytes);
});
