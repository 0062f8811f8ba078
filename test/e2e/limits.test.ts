import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { ContainerState, ResourceEffect, SandboxState, StopCause } from "@paddock/protocol";
import { exec } from "../harness/exec.ts";
import { HostCgroup } from "../harness/host-cgroup.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";

const MIB = 1024n * 1024n;
const sandboxId = "limits";
const c1 = { sandboxId, containerId: "c1" };
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(90) });
let stack: Stack;
let image: string;
let host: HostCgroup;

before(async () => {
  stack = await Stack.start();
  image = await stack.tinyImage();
  const resources = { cpuQuotaUs: 50_000n, memoryBytes: 64n * MIB, cpuShares: 512n, pids: 50n };
  const spec = { containers: [{ containerId: "c1", image, process: idle, resources }] };
  await stack.client.sandboxes.runSandbox({ ...id(), sandboxId, spec }, soon());
  host = new HostCgroup(stack.stateDirectory, sandboxId);
});
after(() => stack?.[Symbol.asyncDispose]());

const status = async () => (await stack.client.sandboxes.getSandbox({ sandboxId }, soon())).sandbox?.status;
const update = (containerId: string, resources: object) =>
  stack.client.containers.updateContainer({ ...id(), sandboxId, containerId, resources }, soon());
/** A file of the container's cgroup in the guest's kernel. */
const inGuest = async (file: string) =>
  (await exec(stack.client, ["cat", `/sys/fs/cgroup/${file}`], c1)).stdout.trim();

async function addContainer(
  containerId: string,
  resources: object,
  args: string[] = idle.args,
): Promise<void> {
  const spec = { containerId, image, process: { args }, resources };
  await stack.client.containers.createContainer({ ...id(), sandboxId, spec }, soon());
  await stack.client.containers.startContainer({ ...id(), sandboxId, containerId }, soon());
}

/** Checks that the status has the limits of the host's kernel. */
async function agree(): Promise<void> {
  const { limits } = (await status()) ?? assert.fail("no status");
  const kernel = host.limits();
  assert.equal(Number(limits?.cpuQuotaUs), kernel.cpu?.quotaUs ?? -1);
  assert.equal(Number(limits?.cpuPeriodUs), kernel.cpu?.periodUs ?? 0);
  assert.equal(Number(limits?.memoryBytes), kernel.memoryBytes);
  assert.equal(Number(limits?.pids), kernel.pids);
}

test("limits are those of the spec on the host, in the guest and in the status", async () => {
  await agree();
  assert.deepEqual(host.limits().cpu, { quotaUs: 50_000, periodUs: 100_000 });
  const { limits, size } = (await status()) ?? assert.fail("no status");
  assert.equal(limits?.memoryBytes, (size?.memoryBytes ?? 0n) + (limits?.memoryOverheadBytes ?? 0n));
  assert.equal(await inGuest("cpu.max"), "50000 100000");
  assert.equal(await inGuest("memory.max"), String(64n * MIB));
  assert.equal(await inGuest("pids.max"), "50");
});

test("an update is in force in the guest and on the host when the call returns", async () => {
  const io = { writeBytesPerSecond: 8n * MIB };
  const { container, outcomes } = await update("c1", { cpuQuotaUs: 75_000n, memoryBytes: 96n * MIB, io });
  assert.ok(outcomes.every(({ effect }) => effect === ResourceEffect.LIVE));
  assert.deepEqual(container?.resourcesInForce, container?.resources);
  assert.equal(container?.resources?.pids, 50n);
  assert.equal(await inGuest("cpu.max"), "75000 100000");
  assert.equal(await inGuest("memory.max"), String(96n * MIB));
  assert.match(await inGuest("io.max"), /wbps=8388608/);
  assert.deepEqual(host.limits().cpu, { quotaUs: 75_000, periodUs: 100_000 });
  await agree();
});

test("a memory limit below the memory in use is refused with its name, and nothing changes", async () => {
  await exec(stack.client, ["sh", "-c", "head -c 24m /dev/zero >/dev/shm/held"], c1);
  const before = { guest: await inGuest("memory.max"), host: host.limits() };
  await assert.rejects(update("c1", { memoryBytes: 16n * MIB, cpuQuotaUs: 90_000n }), {
    reason: "LIMIT_BELOW_USE",
  });
  assert.equal(await inGuest("memory.max"), before.guest);
  assert.equal(await inGuest("cpu.max"), "75000 100000");
  assert.deepEqual(host.limits(), before.host);
  await exec(stack.client, ["rm", "/dev/shm/held"], c1);
  await update("c1", { memoryBytes: 48n * MIB });
  assert.equal(await inGuest("memory.max"), String(48n * MIB));
});

test("a container that exceeds its memory limit is killed in its guest, and its status shows it", async () => {
  await addContainer("hungry", { memoryBytes: 32n * MIB }, ["sh", "-c", "x=x; while :; do x=$x$x; done"]);
  const wait = { sandboxId, containerId: "hungry", execId: "hungry" };
  const ended = await stack.client.processes.waitProcess(wait, soon());
  assert.equal(ended.status?.oomKilled, true);
  const { container } = await stack.client.containers.getContainerStatus({
    sandboxId,
    containerId: "hungry",
  });
  assert.equal(container?.stopCause, StopCause.GUEST_OOM);
  const { sandbox } = await stack.client.sandboxes.getSandbox({ sandboxId }, soon());
  assert.equal(sandbox?.status?.state, SandboxState.RUNNING);
  const [other] = sandbox?.status?.containers ?? [];
  assert.equal(other?.state, ContainerState.RUNNING);
  const { stats } = await stack.client.sandboxes.getSandboxStats({ sandboxId }, soon());
  assert.equal(stats?.host?.memory?.oomKills, 0n);
  await stack.client.containers.deleteContainer({ ...id(), sandboxId, containerId: "hungry" }, soon());
});

test("the VM grows with its containers and shrinks after they are deleted; beyond its maximum they are refused", async () => {
  const small = await status();
  await addContainer("large", { cpuQuotaUs: 125_000n, memoryBytes: 256n * MIB });
  const large = await status();
  assert.deepEqual([small?.size?.vcpus, large?.size?.vcpus, large?.wantedSize?.vcpus], [1, 2, 2]);
  assert.equal((await exec(stack.client, ["nproc"], c1)).stdout, "2\n");
  assert.ok((large?.size?.memoryBytes ?? 0n) >= 304n * MIB, `${large?.size?.memoryBytes}`);
  assert.deepEqual(host.limits().cpu, { quotaUs: 200_000, periodUs: 100_000 });
  await agree();
  const { stats } = await stack.client.sandboxes.getSandboxStats({ sandboxId }, soon());
  const total = stats?.guest?.memoryTotalBytes ?? 0n;
  assert.ok(total > 256n * MIB, `${total}`);
  const spec = { containerId: "more", image, resources: { cpuQuotaUs: 10_000_000n } };
  await assert.rejects(stack.client.containers.createContainer({ ...id(), sandboxId, spec }, soon()), {
    reason: "NO_CAPACITY",
  });
  await stack.client.sandboxes.stopSandbox({ ...id(), sandboxId }, soon());
  const { sandbox } = await stack.client.sandboxes.startSandbox({ ...id(), sandboxId }, soon());
  assert.equal(sandbox?.status?.size?.vcpus, 2, "it boots with the size that its containers need");
  await agree();
  await stack.client.containers.deleteContainer(
    { ...id(), sandboxId, containerId: "large", force: true },
    soon(),
  );
  await until(
    async () => (await status())?.size?.memoryBytes === small?.size?.memoryBytes,
    "the VM has its former memory",
  );
  assert.equal((await status())?.size?.vcpus, 1);
  assert.equal((await exec(stack.client, ["nproc"], c1)).stdout, "1\n");
  assert.deepEqual(host.limits().cpu, { quotaUs: 75_000, periodUs: 100_000 });
  await agree();
});

test("a restarted daemon puts the limits of the record in force", async () => {
  const before = await status();
  await stack.killNode();
  await stack.startNode();
  await until(async () => (await status())?.limits !== undefined, "the limits are known");
  assert.deepEqual((await status())?.limits, before?.limits);
  await agree();
});

test("a deleted sandbox leaves no cgroup", async () => {
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
  assert.equal(host.exists, false);
});
