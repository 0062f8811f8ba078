import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { ContainerState, type Event, SandboxState, StopCause } from "@paddock/protocol";
import { EventLog } from "../harness/event-log.ts";
import { exec } from "../harness/exec.ts";
import { runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(120) });

before(async () => {
  stack = await Stack.start();
});
after(() => stack?.[Symbol.asyncDispose]());

/** A short text for an event. */
function words({ change, containerId, execId, cause }: Event): string {
  const why = cause === StopCause.UNSPECIFIED ? "" : ` (${StopCause[cause]})`;
  switch (change.case) {
    case "sandboxState":
      return `${SandboxState[change.value]}${why}`;
    case "containerState":
      return `${containerId} ${ContainerState[change.value]}${why}`;
    case "processExited":
      return `${containerId} ${execId === containerId ? "init" : execId} ${change.value.code}${why}`;
    case "oom":
      return `${containerId} oom${why}`;
    case "health":
      return change.value.healthy ? "healthy" : "unhealthy";
    case undefined:
      return "nothing";
    default:
      return change satisfies never;
  }
}

/** The events of a sandbox. Checks by their numbers that each is delivered once and none is missing. */
function reported({ events }: EventLog, sandboxId: string): string[] {
  const own = events.filter((event) => event.sandboxId === sandboxId);
  assert.deepEqual(
    own.map(({ sequence }) => Number(sequence)),
    own.map((_, index) => index + 1),
    "numbers rise by one",
  );
  assert.equal(new Set(own.map(({ eventId }) => eventId)).size, own.length);
  return own.map(words);
}

const isState = (sandboxId: string, state: SandboxState) => (event: Event) =>
  event.sandboxId === sandboxId && event.change.case === "sandboxState" && event.change.value === state;

async function remove(sandboxId: string): Promise<void> {
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
}

/** Pid of the one QEMU process of this stack. */
function machine(): number {
  const pids = readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
      return command.startsWith("qemu-system") && command.includes(stack.directory);
    } catch {
      return false;
    }
  });
  assert.equal(pids.length, 1);
  return Number(pids[0]);
}

test("events report the states of a sandbox and the exits of its inits and execs, in order, from boot to deletion", async () => {
  const sandboxId = "whole";
  await using log = await EventLog.start(stack.client);
  await runIdle(stack, sandboxId);
  const at = { sandboxId, containerId: "c1" };
  await exec(stack.client, ["sh", "-c", "exit 3"], { ...at, execId: "job" });
  await log.find(({ execId }) => execId === "job");
  await stack.client.sandboxes.pauseSandbox({ ...id(), sandboxId }, soon());
  await stack.client.sandboxes.resumeSandbox({ ...id(), sandboxId }, soon());
  await stack.client.sandboxes.stopSandbox({ ...id(), sandboxId }, soon());
  await remove(sandboxId);
  await log.find(isState(sandboxId, SandboxState.DELETED));
  assert.deepEqual(reported(log, sandboxId), [
    "CREATING",
    "c1 READY",
    "READY",
    "c1 RUNNING",
    "RUNNING",
    "c1 job 3 (EXITED)",
    "PAUSED",
    "RUNNING",
    "c1 init 0 (REQUESTED)",
    "c1 STOPPED (REQUESTED)",
    "STOPPED (REQUESTED)",
    "DELETING",
    "DELETED",
  ]);
});

test("a container that exceeds its memory limit is reported as out of memory", async () => {
  const sandboxId = "hungry";
  await using log = await EventLog.start(stack.client, { sandboxId });
  await runIdle(stack, sandboxId);
  const image = await stack.tinyImage();
  const hungry = {
    containerId: "c2",
    image,
    process: { args: ["sh", "-c", "x=0123456789abcdef; while :; do x=$x$x; done"] },
    resources: { memoryBytes: 16n << 20n },
  };
  await stack.client.containers.createContainer({ ...id(), sandboxId, spec: hungry }, soon());
  await stack.client.containers.startContainer({ ...id(), sandboxId, containerId: "c2" }, soon());
  await log.find(
    ({ containerId, change }) =>
      containerId === "c2" && change.case === "containerState" && change.value === ContainerState.STOPPED,
  );
  const own = reported(log, sandboxId).filter((text) => text.startsWith("c2"));
  assert.deepEqual(own, [
    "c2 READY",
    "c2 RUNNING",
    "c2 oom (GUEST_OOM)",
    "c2 init 137 (GUEST_OOM)",
    "c2 STOPPED (GUEST_OOM)",
  ]);
  await remove(sandboxId);
});

test("a killed VM is reported with its cause, and no exit code is invented", async () => {
  const sandboxId = "lost";
  await using log = await EventLog.start(stack.client, { sandboxId });
  await runIdle(stack, sandboxId);
  process.kill(machine(), "SIGKILL");
  await log.find(isState(sandboxId, SandboxState.STOPPED));
  assert.deepEqual(reported(log, sandboxId).slice(-2), ["c1 STOPPED (VM_LOST)", "STOPPED (VM_LOST)"]);
  await remove(sandboxId);
});

test("a kill of the daemon loses and repeats no event, and a token works for a new client", async () => {
  const sandboxId = "killed";
  await using log = await EventLog.start(stack.client, { sandboxId });
  const beginning = log.token;
  await runIdle(stack, sandboxId);
  const at = { sandboxId, containerId: "c1" };
  const names = Array.from({ length: 30 }, (_, index) => `e${index}`);
  for (const execId of names.slice(0, 10)) await exec(stack.client, ["true"], { ...at, execId });
  const long = stack.client.processes.exec();
  await long.write({
    message: {
      case: "start",
      value: { ...at, execId: "meanwhile", process: { args: ["sh", "-c", "sleep 0.3; exit 9"] } },
    },
  });
  for await (const { output } of long) if (output?.output.case === "started") break;
  await stack.killNode();
  await stack.startNode();
  for (const execId of names.slice(10)) await exec(stack.client, ["true"], { ...at, execId });
  await log.find(({ execId }) => execId === "e29");
  await log.find(({ execId }) => execId === "meanwhile");
  await remove(sandboxId);
  await log.find(isState(sandboxId, SandboxState.DELETED));
  const all = reported(log, sandboxId);
  const exits = all.filter((text) => /^c1 e\d+ /.test(text));
  assert.deepEqual(
    exits,
    names.map((name) => `c1 ${name} 0 (EXITED)`),
  );
  assert.equal(all.filter((text) => text === "c1 meanwhile 9 (EXITED)").length, 1);
  await using again = await EventLog.start(stack.client, { token: beginning, sandboxId });
  await again.find(isState(sandboxId, SandboxState.DELETED));
  assert.deepEqual(reported(again, sandboxId), all);
  assert.deepEqual(
    again.events.map(({ eventId }) => eventId),
    log.events.map(({ eventId }) => eventId),
  );
});
