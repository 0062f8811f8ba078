import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { SandboxState } from "@paddock/protocol";
import { exec, OutputGatherer } from "../harness/exec.ts";
import { machinesOf } from "../harness/machines.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";

let stack: Stack;
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(120) });

before(async () => {
  stack = await Stack.start();
});
after(() => stack?.[Symbol.asyncDispose]());

test("after kill -9 of the daemon the next one takes over the VM, its processes keep running, and the attach resumes without loss", async () => {
  const sandboxId = "adopted";
  await runIdle(stack, sandboxId);
  const at = { sandboxId, containerId: "c1" };
  const pids = machinesOf(stack.stateDirectory);
  assert.equal(pids.length, 1);
  const script =
    "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; [ $((i % 300)) = 0 ] && sleep 0.3; done; exit 5";
  const gatherer = new OutputGatherer();
  const call = stack.client.processes.exec();
  await call.write({
    message: { case: "start", value: { ...at, execId: "long", process: { args: ["sh", "-c", script] } } },
  });
  let killed: Promise<void> | undefined;
  await assert.rejects(
    async () => {
      for await (const { output } of call) {
        if (output) gatherer.take(output);
        if (gatherer.stdoutOffset > 3000n) killed ??= stack.killNode();
      }
    },
    { kind: "unavailable" },
  );
  await killed;
  await stack.startNode();
  assert.deepEqual(machinesOf(stack.stateDirectory), pids);
  const attach = stack.client.processes.attach(soon());
  await attach.write({
    message: {
      case: "start",
      value: { ...at, execId: "long", stdoutOffset: gatherer.stdoutOffset, stderrOffset: 0n },
    },
  });
  for await (const { output } of attach) if (output) gatherer.take(output);
  const done = gatherer.finish();
  assert.equal(done.stdout, Array.from({ length: 3000 }, (_, index) => `line ${index + 1}\n`).join(""));
  assert.equal(done.status.code, 5);
  assert.equal((await exec(stack.client, ["echo", "again"], at)).stdout, "again\n");
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
  assert.deepEqual(machinesOf(stack.stateDirectory), []);
});

test("a daemon killed during a create leaves nothing incomplete, and the same request returns the same sandbox", async () => {
  const image = await stack.tinyImage();
  const request = {
    requestId: randomUUID(),
    sandboxId: "half",
    spec: { containers: [{ containerId: "c1", image, process: idle }] },
  };
  const first = stack.client.sandboxes.runSandbox(request, soon());
  first.catch(() => {});
  await until(() => machinesOf(stack.stateDirectory).length > 0, "the VM is started");
  await stack.killNode();
  await assert.rejects(first);
  await stack.startNode();
  const { sandbox } = await stack.client.sandboxes.runSandbox(request, soon());
  assert.equal(sandbox?.sandboxId, "half");
  assert.equal(sandbox?.status?.state, SandboxState.RUNNING);
  assert.equal(machinesOf(stack.stateDirectory).length, 1);
  const again = await stack.client.sandboxes.runSandbox(request, soon());
  assert.deepEqual(again.sandbox?.status?.createdAt, sandbox?.status?.createdAt);
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId: "half", force: true }, soon());
  assert.deepEqual(machinesOf(stack.stateDirectory), []);
});

test("a daemon killed during a delete finishes it after its restart", async () => {
  const sandboxId = "going";
  await runIdle(stack, sandboxId);
  const request = { ...id(), sandboxId, force: true };
  const first = stack.client.sandboxes.deleteSandbox(request, soon());
  first.catch(() => {});
  await new Promise((resolve) => setImmediate(resolve));
  await stack.killNode();
  await first.catch(() => {});
  await stack.startNode();
  await stack.client.sandboxes.deleteSandbox(request, soon());
  assert.deepEqual(machinesOf(stack.stateDirectory), []);
  await assert.rejects(stack.client.sandboxes.getSandbox({ sandboxId }), { reason: "SANDBOX_NOT_FOUND" });
});
