import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { SandboxState } from "@paddock/protocol";
import { exec } from "../harness/exec.ts";
import { CONTAINER_POINTS } from "../harness/failpoints.ts";
import { hostSnapshot } from "../harness/host-snapshot.ts";
import { INTERRUPTIONS, interrupted } from "../harness/interrupted.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
let image: string;
const soon = () => ({ deadline: inSeconds(120) });
const id = () => ({ requestId: randomUUID() });
const snapshot = () => hostSnapshot(stack.stateDirectory);

before(async () => {
  stack = await Stack.start({}, { failpoints: true });
  image = await stack.tinyImage();
});
after(() => stack?.[Symbol.asyncDispose]());

test("a stopped sandbox whose boot is interrupted stays stopped, keeps its files, and boots later", async () => {
  const sandboxId = "s3";
  const { sandboxes } = stack.client;
  await runIdle(stack, sandboxId);
  await sandboxes.stopSandbox({ ...id(), sandboxId }, soon());
  const stopped = snapshot();
  const start = () => sandboxes.startSandbox({ ...id(), sandboxId }, soon());
  for (const [, action] of INTERRUPTIONS) {
    await interrupted(stack, "sandbox/guest/after", action, start);
    assert.deepEqual(snapshot(), stopped);
    const { status } = await sandboxes.getSandboxStatus({ sandboxId }, soon());
    assert.equal(status?.state, SandboxState.STOPPED);
  }
  assert.equal((await start()).sandbox?.status?.state, SandboxState.RUNNING);
  await sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
});

describe("a container whose creation is interrupted leaves its sandbox and its neighbour as they were", () => {
  const sandboxId = "s2";
  const neighbour = { sandboxId, containerId: "c1" };
  const request = () => ({ ...id(), sandboxId, spec: { containerId: "c2", image, process: idle } });
  let before: string[];
  let life: string;
  /** Pid and start time of the neighbour's init, and the block devices of the VM, from the guest's kernel. */
  const inside = async () =>
    (await exec(stack.client, ["sh", "-c", "cut -d' ' -f1,22 /proc/1/stat; cat /proc/partitions"], neighbour))
      .stdout;

  test("the sandbox runs, and the snapshot lists what it uses", async () => {
    await runIdle(stack, sandboxId);
    before = snapshot();
    life = await inside();
    assert.match(life, / sd[a-z]\n/);
    for (const kind of [/^process \d+ holds .*\.ext4$/, /^cgroup /, /^file sandboxes\//, /^record s2$/])
      assert.ok(
        before.some((line) => kind.test(line)),
        `the snapshot has no ${kind}: ${before.join("\n")}`,
      );
  });

  for (const point of CONTAINER_POINTS)
    for (const [how, action] of INTERRUPTIONS)
      test(`by ${how} at ${point}`, async () => {
        await interrupted(stack, point, action, () =>
          stack.client.containers.createContainer(request(), soon()),
        );
        assert.deepEqual(snapshot(), before);
        assert.equal(await inside(), life);
        await assert.rejects(stack.client.containers.getContainerStatus({ sandboxId, containerId: "c2" }), {
          reason: "CONTAINER_NOT_FOUND",
        });
      });

  test("a taken id is refused before any step runs", async () => {
    const taken = { ...request(), spec: { containerId: "c1", image, process: idle } };
    const spec = { containers: [{ containerId: "c9", image, process: idle }] };
    // Any step would kill the daemon.
    await stack.failpoints.arm("*", "die");
    await assert.rejects(stack.client.containers.createContainer(taken, soon()), {
      reason: "CONTAINER_EXISTS",
    });
    await assert.rejects(stack.client.sandboxes.createSandbox({ ...id(), sandboxId, spec }, soon()), {
      reason: "SANDBOX_EXISTS",
    });
    assert.deepEqual(snapshot(), before);
    assert.equal(await inside(), life);
    await stack.failpoints.release();
  });

  test("and the container can be created afterwards", async () => {
    await stack.client.containers.createContainer(request(), soon());
    await stack.client.containers.startContainer({ ...id(), sandboxId, containerId: "c2" }, soon());
    await stack.client.containers.deleteContainer(
      { ...id(), sandboxId, containerId: "c2", force: true },
      soon(),
    );
    assert.deepEqual(snapshot(), before);
    assert.equal(await inside(), life);
  });
});
