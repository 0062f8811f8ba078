import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { ContainerState, type Sandbox, SandboxState } from "@paddock/protocol";
import { begin } from "../harness/begin.ts";
import { exec } from "../harness/exec.ts";
import { machinesOf } from "../harness/machines.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";

let stack: Stack;
const sandboxId = "p";
const c1 = { sandboxId, containerId: "c1" };
const c2 = { sandboxId, containerId: "c2" };
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(90) });
/** A call on a paused sandbox must be refused and not wait. */
const atOnce = () => ({ deadline: inSeconds(10) });
const wrongState = (actual: string) => ({ reason: "WRONG_STATE", metadata: { actual_state: actual } });

/** Uses CPU all the time. A quota leaves most of the CPU to the rest of the guest. */
const spinning = { args: ["sh", "-c", "while :; do :; done"] };

const states = ({ status }: Pick<Sandbox, "status">) => [
  status?.state,
  ...(status?.containers.map(({ state }) => state) ?? []),
];

/** Resolves to the error that a call fails with. */
async function failure(
  call: Promise<unknown>,
): Promise<{ reason?: string; metadata?: Record<string, string> }> {
  try {
    await call;
  } catch (error) {
    return error as { reason?: string; metadata?: Record<string, string> };
  }
  throw new Error("the call succeeded");
}

async function isRefused(call: Promise<unknown>, actual: string): Promise<void> {
  const { reason, metadata } = await failure(call);
  assert.deepEqual({ reason, metadata: { actual_state: metadata?.actual_state } }, wrongState(actual));
}

const machines = () => machinesOf(stack.stateDirectory);

before(async () => {
  stack = await Stack.start();
  const image = await stack.tinyImage();
  const spec = {
    containers: [
      { containerId: "c1", image, process: idle },
      { containerId: "c2", image, process: spinning, resources: { cpuQuotaUs: 10_000n } },
      { containerId: "c3", image, process: { args: ["sh", "-c", "exit 4"] } },
    ],
  };
  await stack.client.sandboxes.runSandbox({ ...id(), sandboxId, spec }, soon());
  await stack.client.processes.waitProcess({ sandboxId, containerId: "c3", execId: "c3" }, soon());
});
after(() => stack?.[Symbol.asyncDispose]());

test("a paused container does not run and refuses execs, its neighbour runs, and the resume continues it", async () => {
  const { containers } = stack.client;
  const used = async () => (await containers.getContainerStats(c2, soon())).stats?.cpu?.usageUs ?? 0n;
  const { container } = await containers.pauseContainer({ ...id(), ...c2 }, soon());
  assert.equal(container?.state, ContainerState.PAUSED);
  await containers.pauseContainer({ ...id(), ...c2 }, soon());
  await isRefused(exec(stack.client, ["true"], c2), "paused");
  const standing = await used();
  assert.equal((await exec(stack.client, ["echo", "still here"], c1)).stdout, "still here\n");
  assert.equal(await used(), standing, "a frozen container used CPU");
  const { processes } = await containers.listProcesses(c2, soon());
  assert.equal(processes.length, 1);
  await isRefused(containers.deleteContainer({ ...id(), ...c2 }, soon()), "paused");
  await isRefused(containers.startContainer({ ...id(), ...c2 }, soon()), "paused");
  const resumed = await containers.resumeContainer({ ...id(), ...c2 }, soon());
  assert.equal(resumed.container?.state, ContainerState.RUNNING);
  await containers.resumeContainer({ ...id(), ...c2 }, soon());
  const first = await used();
  await until(async () => (await used()) > first, "the container that was resumed uses CPU");
  await isRefused(containers.pauseContainer({ ...id(), sandboxId, containerId: "c3" }, soon()), "stopped");
});

test("a paused sandbox keeps the states of its containers, refuses calls that need the guest, and continues after the resume", async () => {
  const { sandboxes, containers, processes } = stack.client;
  await containers.pauseContainer({ ...id(), ...c2 }, soon());
  const before = [
    SandboxState.RUNNING,
    ContainerState.RUNNING,
    ContainerState.PAUSED,
    ContainerState.STOPPED,
  ];
  const counting = await begin(
    stack.client,
    ["sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done"],
    c1,
  );
  await counting.next();
  const interval = { seconds: 0n, nanos: 200_000_000 };
  const figures = containers.watchContainerStats({ ...c1, interval }, soon())[Symbol.asyncIterator]();
  await figures.next();
  const waiting = processes.waitProcess({ ...c1, execId: counting.execId }, soon());
  const uptime = async () =>
    Number((await exec(stack.client, ["cat", "/proc/uptime"], c1)).stdout.split(" ")[0]);
  const [uptimeBefore, hostBefore] = [await uptime(), performance.now()];

  const paused = await sandboxes.pauseSandbox({ ...id(), sandboxId }, soon());
  assert.deepEqual(paused.sandbox && states(paused.sandbox), [SandboxState.PAUSED, ...before.slice(1)]);
  await sandboxes.pauseSandbox({ ...id(), sandboxId }, soon());
  const attach = async () => {
    const call = processes.attach(atOnce());
    await call.write({ message: { case: "start", value: { ...c1, execId: "c1" } } });
    for await (const _ of call);
  };
  const watch = async () => {
    for await (const _ of containers.watchContainerStats(c1, atOnce()));
  };
  for (const call of [
    () => exec(stack.client, ["true"], { ...c1, ...atOnce() }),
    attach,
    watch,
    () => containers.getContainerStats(c1, atOnce()),
    () => containers.listProcesses(c1, atOnce()),
    () => containers.killContainer({ ...id(), ...c1 }, atOnce()),
    () => containers.resumeContainer({ ...id(), ...c2 }, atOnce()),
    () => processes.signalProcess({ ...id(), ...c1, execId: counting.execId, signal: "9" }, atOnce()),
    () => sandboxes.startSandbox({ ...id(), sandboxId }, atOnce()),
    () => sandboxes.deleteSandbox({ ...id(), sandboxId }, atOnce()),
  ])
    await isRefused(call(), "paused");
  const { stats } = await sandboxes.getSandboxStats({ sandboxId }, atOnce());
  assert.ok((stats?.host?.memory?.usageBytes ?? 0n) > 0n);
  assert.equal(stats?.guest, undefined, "a paused guest has no figures");
  for await (const _ of processes.readLogs({ sandboxId, containerId: "c3" }, atOnce()));
  const waitingToo = processes.waitProcess({ ...c1, execId: counting.execId }, soon());
  // The test measures for how long the guest's clock was stopped.
  await pass(4000);

  const resumed = await sandboxes.resumeSandbox({ ...id(), sandboxId }, soon());
  assert.deepEqual(resumed.sandbox && states(resumed.sandbox), before);
  await sandboxes.resumeSandbox({ ...id(), sandboxId }, soon());
  const asked = Date.now();
  const guestTime = Number((await exec(stack.client, ["date", "+%s"], c1)).stdout) * 1000;
  assert.ok(
    guestTime >= asked - 2500 && guestTime <= Date.now() + 500,
    `the guest's clock is off: ${guestTime - asked} ms`,
  );
  const stoodStillMs = performance.now() - hostBefore - ((await uptime()) - uptimeBefore) * 1000;
  assert.ok(stoodStillMs > 3500, `the guest ran while it was paused: it was stopped for ${stoodStillMs} ms`);
  assert.ok((await counting.next()) !== undefined, "the open stream continues");
  const readAt = async () => {
    const { done, value } = await figures.next();
    assert.ok(!done, "figures continue");
    return Number(value.stats?.time?.seconds) * 1000;
  };
  while ((await readAt()) < asked - 2500);
  await figures.return?.();
  await processes.signalProcess({ ...id(), ...c1, execId: counting.execId, signal: "9" }, soon());
  assert.equal((await waiting).status?.signal, 9, "a wait from before the pause is answered");
  assert.equal((await waitingToo).status?.signal, 9, "a wait from during the pause is answered");
});

test("a sandbox stays paused when the daemon is killed and started, and its streams continue after the resume", async () => {
  const { sandboxes } = stack.client;
  await sandboxes.pauseSandbox({ ...id(), sandboxId }, soon());
  await stack.killNode();
  await stack.startNode();
  const { sandbox } = await sandboxes.getSandbox({ sandboxId }, soon());
  assert.equal(sandbox?.status?.state, SandboxState.PAUSED);
  await sandboxes.resumeSandbox({ ...id(), sandboxId }, soon());
  assert.equal((await exec(stack.client, ["echo", "awake"], c1)).stdout, "awake\n");
  const { container } = await stack.client.containers.getContainerStatus(c2);
  assert.equal(container?.state, ContainerState.PAUSED);
});

test("a paused container and a paused sandbox stop gracefully, and the sandbox boots again", async () => {
  const { sandboxes, containers } = stack.client;
  await containers.pauseContainer({ ...id(), ...c1 }, soon());
  const ended = await containers.stopContainer({ ...id(), ...c1 }, soon());
  assert.equal(ended.container?.exitStatus?.code, 0, "its init got SIGTERM and exited");

  await sandboxes.pauseSandbox({ ...id(), sandboxId }, soon());
  const grace = { seconds: 1n, nanos: 0 };
  const stopped = await sandboxes.stopSandbox({ ...id(), sandboxId, grace }, soon());
  const gone = ContainerState.STOPPED;
  assert.deepEqual(stopped.sandbox && states(stopped.sandbox), [SandboxState.STOPPED, gone, gone, gone]);
  assert.equal(
    stopped.sandbox?.status?.containers[1]?.exitStatus?.signal,
    9,
    "the frozen container was killed",
  );
  assert.deepEqual(machines(), []);
  await isRefused(sandboxes.pauseSandbox({ ...id(), sandboxId }, soon()), "stopped");
  await isRefused(sandboxes.resumeSandbox({ ...id(), sandboxId }, soon()), "stopped");

  const started = await sandboxes.startSandbox({ ...id(), sandboxId }, soon());
  assert.deepEqual(started.sandbox && states(started.sandbox).slice(0, 3), [
    SandboxState.RUNNING,
    ContainerState.RUNNING,
    ContainerState.RUNNING,
  ]);
});

test("a paused sandbox is deleted only with force, and its VM is gone", async () => {
  const { sandboxes } = stack.client;
  await sandboxes.pauseSandbox({ ...id(), sandboxId }, soon());
  await isRefused(sandboxes.deleteSandbox({ ...id(), sandboxId }, soon()), "paused");
  assert.equal(machines().length, 1);
  await sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
  assert.deepEqual(machines(), []);
  await assert.rejects(sandboxes.getSandbox({ sandboxId }), { reason: "SANDBOX_NOT_FOUND" });
});
