import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ContainerState, SandboxState } from "@paddock/protocol";
import { EventLog } from "../harness/event-log.ts";
import { exec } from "../harness/exec.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";

const ROUNDS = 15;
/** Longer than any step of a creation. */
const HELD_MS = 30_000;

let stack: Stack;
let image: string;
const soon = () => ({ deadline: inSeconds(120) });
const id = () => ({ requestId: randomUUID() });

before(async () => {
  stack = await Stack.start({}, { failpoints: true });
  image = await stack.tinyImage();
});
after(() => stack?.[Symbol.asyncDispose]());

/** Calls that only read. */
function readings(sandboxId: string): Record<string, () => Promise<unknown>> {
  const { sandboxes, containers } = stack.client;
  const at = { sandboxId, containerId: "c1" };
  return {
    GetSandbox: () => sandboxes.getSandbox({ sandboxId }, soon()),
    GetSandboxStatus: () => sandboxes.getSandboxStatus({ sandboxId }, soon()),
    GetContainerStatus: () => containers.getContainerStatus(at, soon()),
    ListSandboxes: () => sandboxes.listSandboxes({}, soon()),
    GetSandboxStats: () => sandboxes.getSandboxStats({ sandboxId }, soon()),
    GetContainerStats: () => containers.getContainerStats(at, soon()),
    ListProcesses: () => containers.listProcesses(at, soon()),
  };
}

/** Median duration of each reading over many rounds, in ms. */
async function answerTimes(sandboxId: string): Promise<Map<string, number>> {
  const medians = new Map<string, number>();
  for (const [name, read] of Object.entries(readings(sandboxId))) {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const begun = performance.now();
      await read();
      times.push(performance.now() - begun);
    }
    medians.set(name, times.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0);
  }
  return medians;
}

test("while creations wait, their sandboxes can be read, and other sandboxes are created, run and deleted", async (t) => {
  const { sandboxes, containers } = stack.client;
  await runIdle(stack, "busy");
  const usual = await answerTimes("busy");
  await using log = await EventLog.start(stack.client);

  const isHeld = { container: true, sandbox: true };
  const container = { ...id(), sandboxId: "busy", spec: { containerId: "c2", image, process: idle } };
  const first = await stack.failpoints.arm("container/guest-container/before", "hold");
  const creatingContainer = containers
    .createContainer(container, soon())
    .finally(() => Object.assign(isHeld, { container: false }));
  await first.reached;
  const spec = { containers: [{ containerId: "c1", image, process: idle }] };
  const second = await stack.failpoints.arm("sandbox/guest/after", "hold");
  const creatingSandbox = sandboxes
    .createSandbox({ ...id(), sandboxId: "coming", spec }, soon())
    .finally(() => Object.assign(isHeld, { sandbox: false }));
  await second.reached;
  const heldAt = performance.now();

  const pausing = sandboxes.pauseSandbox({ ...id(), sandboxId: "busy" }, soon());
  const status = async (sandboxId: string) =>
    (await sandboxes.getSandbox({ sandboxId }, soon())).sandbox?.status;
  await until(async () => (await status("busy"))?.lock?.waiters.length !== 0, "the pause waits");
  const busy = await status("busy");
  assert.equal(busy?.lock?.holder, "CreateContainer");
  assert.deepEqual(busy?.lock?.waiters, ["PauseSandbox"]);
  assert.equal(busy?.state, SandboxState.RUNNING);
  const coming = await status("coming");
  assert.equal(coming?.lock?.holder, "CreateSandbox");
  assert.equal(coming?.state, SandboxState.CREATING);

  const held = await answerTimes("busy");
  assert.equal(
    (await exec(stack.client, ["echo", "here"], { sandboxId: "busy", containerId: "c1" })).stdout,
    "here\n",
  );
  await runIdle(stack, "other");
  await sandboxes.pauseSandbox({ ...id(), sandboxId: "other" }, soon());
  await sandboxes.resumeSandbox({ ...id(), sandboxId: "other" }, soon());
  await sandboxes.stopSandbox({ ...id(), sandboxId: "other" }, soon());
  await log.find(
    ({ sandboxId, change }) =>
      sandboxId === "other" && change.case === "sandboxState" && change.value === SandboxState.STOPPED,
  );
  await sandboxes.deleteSandbox({ ...id(), sandboxId: "other" }, soon());
  const slowest = new Map(held);
  while (performance.now() - heldAt < HELD_MS) {
    for (const [name, ms] of await answerTimes("busy"))
      slowest.set(name, Math.max(ms, slowest.get(name) ?? 0));
    // The readings use the CPUs that the other test files need.
    await delay(1000);
  }
  assert.deepEqual(isHeld, { container: true, sandbox: true }, "both still waited after all of this");

  t.diagnostic(`held for ${((performance.now() - heldAt) / 1000).toFixed(1)} s`);
  for (const [name, ms] of slowest)
    t.diagnostic(`${name}: ${ms.toFixed(1)} ms, usually ${usual.get(name)?.toFixed(1)} ms`);

  await stack.failpoints.release();
  assert.equal((await creatingContainer).container?.state, ContainerState.READY);
  assert.equal((await creatingSandbox).sandbox?.status?.state, SandboxState.READY);
  assert.equal(
    (await pausing).sandbox?.status?.state,
    SandboxState.PAUSED,
    "the pause that waited was carried out",
  );
});
