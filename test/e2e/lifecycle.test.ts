import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { ContainerState, Isolation, SandboxState, StopCause } from "@paddock/protocol";
import { exec } from "../harness/exec.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(90) });

before(async () => {
  stack = await Stack.start();
});
after(() => stack?.[Symbol.asyncDispose]());

test("a sandbox is created ready, started, stopped, started again with its files, and deleted", async () => {
  const { sandboxes } = stack.client;
  const sandboxId = "life";
  const image = await stack.tinyImage();
  const spec = { containers: [{ containerId: "c1", image, process: idle }], labels: { team: "a" } };
  const created = await sandboxes.createSandbox({ ...id(), sandboxId, spec }, soon());
  assert.equal(created.sandbox?.status?.state, SandboxState.READY);
  assert.equal(created.sandbox?.status?.containers[0]?.state, ContainerState.READY);
  assert.equal(created.sandbox?.status?.isolation, Isolation.TCG_NO_GUARANTEE);

  const started = await sandboxes.startSandbox({ ...id(), sandboxId }, soon());
  assert.equal(started.sandbox?.status?.state, SandboxState.RUNNING);
  const at = { sandboxId, containerId: "c1" };
  await exec(stack.client, ["sh", "-c", "echo kept > /kept"], at);

  const stopped = await sandboxes.stopSandbox({ ...id(), sandboxId }, soon());
  assert.equal(stopped.sandbox?.status?.state, SandboxState.STOPPED);
  assert.equal(stopped.sandbox?.status?.stopCause, StopCause.REQUESTED);
  const again = await sandboxes.stopSandbox({ ...id(), sandboxId }, soon());
  assert.equal(again.sandbox?.status?.state, SandboxState.STOPPED);

  await sandboxes.startSandbox({ ...id(), sandboxId }, soon());
  assert.equal((await exec(stack.client, ["cat", "/kept"], at)).stdout, "kept\n");

  await assert.rejects(sandboxes.deleteSandbox({ ...id(), sandboxId }, soon()), { reason: "WRONG_STATE" });
  await sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
  await assert.rejects(sandboxes.getSandbox({ sandboxId }), { reason: "SANDBOX_NOT_FOUND" });
});

test("a container is created in a running sandbox, started, listed, measured, killed and deleted beside another", async () => {
  const sandboxId = "two";
  await runIdle(stack, sandboxId);
  const { containers } = stack.client;
  const image = await stack.tinyImage();
  const spec = { containerId: "c2", image, process: { args: ["sleep", "600"] }, resources: { pids: 50n } };
  const created = await containers.createContainer({ ...id(), sandboxId, spec }, soon());
  assert.equal(created.container?.state, ContainerState.READY);
  const at = { sandboxId, containerId: "c2" };
  const started = await containers.startContainer({ ...id(), ...at }, soon());
  assert.equal(started.container?.state, ContainerState.RUNNING);

  const { processes } = await containers.listProcesses(at);
  assert.deepEqual(
    processes.map((entry) => [entry.pid, entry.args.join(" ")]),
    [[1, "sleep 600"]],
  );
  const { stats } = await containers.getContainerStats(at);
  assert.ok((stats?.memory?.usageBytes ?? 0n) > 0n);
  assert.equal(stats?.pids?.limit, 50n);

  await assert.rejects(containers.createContainer({ ...id(), sandboxId, spec }, soon()), {
    reason: "CONTAINER_EXISTS",
  });
  await containers.killContainer({ ...id(), ...at, signal: "KILL" });
  const { status } = await stack.client.processes.waitProcess({ ...at, execId: "c2" }, soon());
  assert.equal(status?.signal, 9);
  await containers.deleteContainer({ ...id(), ...at }, soon());
  await assert.rejects(containers.getContainerStatus(at), { reason: "CONTAINER_NOT_FOUND" });
  const left = await containers.getContainerStatus({ sandboxId, containerId: "c1" });
  assert.equal(left.container?.state, ContainerState.RUNNING);
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
});

test("the same request id returns the same sandbox, and is refused with another body", async () => {
  const { sandboxes } = stack.client;
  const requestId = randomUUID();
  const image = await stack.tinyImage();
  const request = {
    requestId,
    sandboxId: "once",
    spec: { containers: [{ containerId: "c1", image, process: idle }] },
  };
  const outcomes = await Promise.all([
    sandboxes.runSandbox(request, soon()),
    sandboxes.runSandbox(request, soon()),
    sandboxes.runSandbox(request, soon()),
  ]);
  const created = outcomes.map(({ sandbox }) => [
    sandbox?.sandboxId,
    sandbox?.generation,
    sandbox?.status?.createdAt,
  ]);
  assert.deepEqual(created[1], created[0]);
  assert.deepEqual(created[2], created[0]);
  await assert.rejects(
    sandboxes.runSandbox({ ...request, spec: { ...request.spec, labels: { a: "b" } } }, soon()),
    {
      reason: "REQUEST_ID_REUSED",
    },
  );
  await assert.rejects(sandboxes.createSandbox({ ...id(), sandboxId: "once", spec: {} }, soon()), {
    reason: "SANDBOX_EXISTS",
  });
  await sandboxes.deleteSandbox({ ...id(), sandboxId: "once", force: true }, soon());
});

test("a container that ends by itself is stopped with its exit code, and its logs remain", async () => {
  const sandboxId = "ends";
  const image = await stack.tinyImage();
  const process = { args: ["sh", "-c", "echo to-out; echo to-err >&2; exit 7"] };
  await stack.client.sandboxes.runSandbox(
    { ...id(), sandboxId, spec: { containers: [{ containerId: "c1", image, process }] } },
    soon(),
  );
  const at = { sandboxId, containerId: "c1" };
  const { status } = await stack.client.processes.waitProcess({ ...at, execId: "c1" }, soon());
  assert.equal(status?.code, 7);
  const log: string[] = [];
  for await (const piece of stack.client.processes.readLogs({ ...at, follow: true })) {
    log.push(`${piece.stream}:${Buffer.from(piece.data).toString()}`);
  }
  assert.deepEqual(log.sort(), ["1:to-out\n", "2:to-err\n"]);
  const { container } = await stack.client.containers.getContainerStatus(at);
  assert.equal(container?.state, ContainerState.STOPPED);
  assert.equal(container?.exitStatus?.code, 7);
  assert.equal(container?.stopCause, StopCause.EXITED);
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
});
