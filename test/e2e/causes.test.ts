import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ContainerState, SandboxState, StopCause } from "@paddock/protocol";
import { begin } from "../harness/begin.ts";
import { EventLog } from "../harness/event-log.ts";
import { exec } from "../harness/exec.ts";
import { machinesOf } from "../harness/machines.ts";
import { runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { vmOf } from "../harness/vm-of.ts";

let stack: Stack;
let log: EventLog;
const soon = () => ({ deadline: inSeconds(90) });
const id = () => ({ requestId: randomUUID() });

before(async () => {
  stack = await Stack.start();
  await stack.tinyImage();
  log = await EventLog.start(stack.client);
});
after(async () => {
  await log?.[Symbol.asyncDispose]();
  await stack?.[Symbol.asyncDispose]();
});

/** The process of a sandbox's VM. */
function machineOf(sandboxId: string): number {
  const { dir } = vmOf(stack.stateDirectory, sandboxId);
  const pid = machinesOf(stack.stateDirectory).find((each) =>
    readFileSync(`/proc/${each}/cmdline`, "latin1").includes(dir),
  );
  return Number(pid ?? assert.fail(`${sandboxId} has no VM`));
}

/** The event of the sandbox's stop. */
const stopOf = (sandboxId: string) =>
  log.find(
    (event) =>
      event.sandboxId === sandboxId &&
      event.change.case === "sandboxState" &&
      event.change.value === SandboxState.STOPPED,
  );

/** Waits for the sandbox's stop. Sandbox and container must have `cause` with evidence, and no exit status. */
async function endsOf(sandboxId: string, cause: StopCause, evidence: RegExp): Promise<number> {
  const event = await stopOf(sandboxId);
  assert.equal(event.cause, cause);
  const { sandbox } = await stack.client.sandboxes.getSandbox({ sandboxId }, soon());
  assert.equal(sandbox?.status?.state, SandboxState.STOPPED);
  assert.equal(sandbox?.status?.stopCause, cause);
  assert.match(sandbox?.status?.stopEvidence ?? "", evidence);
  const [container] = sandbox?.status?.containers ?? [];
  assert.equal(container?.state, ContainerState.STOPPED);
  assert.equal(container?.stopCause, cause);
  assert.equal(container?.exitStatus, undefined);
  // A sandbox that was stopped can be started. If its VM was lost, that is the reason.
  const reason = cause === StopCause.GUEST_UNRESPONSIVE ? "WRONG_STATE" : "VM_UNAVAILABLE";
  await assert.rejects(exec(stack.client, ["true"], { sandboxId, containerId: "c1" }), { reason });
  return event.time ? timestampMs(event.time) : Number.NaN;
}

describe("a stop has its cause and evidence", { concurrency: 3 }, () => {
  test("of a guest that hangs: it is reported, and stopped within the caller's deadline", async () => {
    const sandboxId = "hangs";
    const { sandboxes } = stack.client;
    await runIdle(stack, sandboxId);
    process.kill(machineOf(sandboxId), "SIGSTOP");
    const at = { sandboxId, containerId: "c1" };
    await assert.rejects(exec(stack.client, ["true"], { ...at, deadline: inSeconds(2) }), {
      kind: "deadline_exceeded",
    });
    const noticed = await log.find(
      (event) =>
        event.sandboxId === sandboxId && event.change.case === "health" && !event.change.value.healthy,
    );
    assert.ok(noticed);
    const { sandbox } = await sandboxes.getSandbox({ sandboxId }, soon());
    assert.equal(sandbox?.status?.state, SandboxState.RUNNING, "a silent guest has not stopped");
    await sandboxes.stopSandbox({ ...id(), sandboxId }, { deadline: inSeconds(20) });
    await endsOf(sandboxId, StopCause.GUEST_UNRESPONSIVE, /guest/);
    await sandboxes.deleteSandbox({ ...id(), sandboxId }, soon());
  });

  test("of a VM whose process is killed", async (t) => {
    await runIdle(stack, "killed");
    const begun = Date.now();
    process.kill(machineOf("killed"), "SIGKILL");
    const toldAt = await endsOf("killed", StopCause.VM_LOST, /./);
    t.diagnostic(`noticed ${toldAt - begun} ms after the kill`);
    const { sandbox } = await stack.client.sandboxes.startSandbox({ ...id(), sandboxId: "killed" }, soon());
    assert.equal(sandbox?.status?.state, SandboxState.RUNNING, "it boots again");
  });

  test("of a guest whose kernel panics, with the last lines of the kernel", async () => {
    await runIdle(stack, "panic");
    const script =
      "mkdir /tmp/p && mount -t proc proc /tmp/p && echo 1 > /tmp/p/sys/kernel/sysrq && echo c > /tmp/p/sysrq-trigger";
    const process = { capabilities: { names: ["CAP_SYS_ADMIN"] }, seccompUnconfined: true };
    const at = { sandboxId: "panic", containerId: "c1" };
    await assert.rejects(exec(stack.client, ["sh", "-c", script], { ...at, process }), {
      reason: "VM_UNAVAILABLE",
    });
    await endsOf("panic", StopCause.GUEST_PANIC, /panic/i);
  });

  test("of a VM that the host's OOM killer kills", async () => {
    await runIdle(stack, "host-oom");
    const mark = createHash("sha256").update(stack.stateDirectory).digest("hex").slice(0, 8);
    const { id } = vmOf(stack.stateDirectory, "host-oom");
    const files = globSync(
      `/sys/fs/cgroup/**/paddock/${mark}-${id}/{memory.limit_in_bytes,memory.memsw.limit_in_bytes,memory.max}`,
    );
    assert.ok(files.length > 0);
    const [directory = ""] = files.map((file) => join(file, ".."));
    const [current = ""] = globSync(join(directory, "memory.{usage_in_bytes,current}"));
    const limit = Number(readFileSync(current, "utf8")) + (8 << 20);
    for (const file of files) writeFileSync(file, String(limit));
    // The guest uses more memory than the host gives it.
    const at = { sandboxId: "host-oom", containerId: "c1" };
    await assert.rejects(exec(stack.client, ["dd", "if=/dev/zero", "of=/big", "bs=1M", "count=150"], at));
    await endsOf("host-oom", StopCause.HOST_OOM, /./);
  });

  test("of a container that the guest's OOM killer kills", async () => {
    const sandboxId = "guest-oom";
    const { sandboxes, containers } = stack.client;
    await runIdle(stack, sandboxId);
    const image = await stack.tinyImage();
    const eater = { args: ["sh", "-c", "x=x; while :; do x=$x$x; done"] };
    const spec = { containerId: "c2", image, process: eater, resources: { memoryBytes: 32n << 20n } };
    await containers.createContainer({ ...id(), sandboxId, spec }, soon());
    await containers.startContainer({ ...id(), sandboxId, containerId: "c2" }, soon());
    const event = await log.find(
      (each) =>
        each.sandboxId === sandboxId &&
        each.containerId === "c2" &&
        each.change.case === "containerState" &&
        each.change.value === ContainerState.STOPPED,
    );
    assert.equal(event.cause, StopCause.GUEST_OOM);
    const { container } = await containers.getContainerStatus({ sandboxId, containerId: "c2" }, soon());
    assert.equal(container?.stopCause, StopCause.GUEST_OOM);
    assert.equal(container?.exitStatus?.signal, 9);
    assert.equal(container?.exitStatus?.oomKilled, true);
    const { sandbox } = await sandboxes.getSandbox({ sandboxId }, soon());
    assert.equal(sandbox?.status?.state, SandboxState.RUNNING);
    assert.equal(
      sandbox?.status?.containers[0]?.state,
      ContainerState.RUNNING,
      "the other container keeps running",
    );
  });

  test("of a guest that hangs and is deleted", async () => {
    const sandboxId = "hangs-too";
    await runIdle(stack, sandboxId);
    const pid = machineOf(sandboxId);
    await begin(stack.client, ["sleep", "999"], { sandboxId, containerId: "c1" });
    process.kill(pid, "SIGSTOP");
    await stack.client.sandboxes.deleteSandbox(
      { ...id(), sandboxId, force: true },
      { deadline: inSeconds(20) },
    );
    assert.ok(!machinesOf(stack.stateDirectory).includes(String(pid)));
  });
});
