import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { globSync } from "node:fs";
import { after, before, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { exec } from "../harness/exec.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
let image: string;
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(60) });

before(async () => {
  stack = await Stack.start();
  image = await stack.tinyImage();
});
after(() => stack?.[Symbol.asyncDispose]());

const hostile = ["../x", "a/b", "a\0b", "x".repeat(300), "-rf", "$(id)", "*", ">"];

for (const raw of hostile) {
  test(`the id ${JSON.stringify(raw.slice(0, 8))} is refused by every call, which names the field, and nothing is created`, async () => {
    const { sandboxes, containers, processes } = stack.client;
    const before = filesOfState();
    const calls: Record<string, Promise<unknown>> = {
      sandbox_id: sandboxes.createSandbox({ ...id(), sandboxId: raw, spec: {} }, soon()),
      "spec.containers[0].container_id": sandboxes.createSandbox(
        { ...id(), spec: { containers: [{ containerId: raw, image }] } },
        soon(),
      ),
      container_id: containers.getContainerStatus({ sandboxId: "a", containerId: raw }, soon()),
      exec_id: processes.waitProcess({ sandboxId: "a", containerId: "a", execId: raw }, soon()),
    };
    for (const [field, call] of Object.entries(calls)) {
      const error = await call.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof PaddockError, `${field} was accepted`);
      assert.equal(error.reason, "INVALID_FIELD");
      assert.ok(
        error.violations.some((violation) => violation.field === field),
        `${field} is not among ${JSON.stringify(error.violations)}`,
      );
    }
    assert.deepEqual(filesOfState(), before);
  });
}

test("missing ids and specs are refused, and the error names the field", async () => {
  const violation = (field: string) => (error: unknown) =>
    error instanceof PaddockError &&
    error.reason === "INVALID_FIELD" &&
    error.violations.some((entry) => entry.field === field);
  await assert.rejects(stack.client.sandboxes.getSandbox({ sandboxId: "" }), violation("sandbox_id"));
  await assert.rejects(stack.client.sandboxes.createSandbox({ ...id(), sandboxId: "a" }), violation("spec"));
  await assert.rejects(
    stack.client.sandboxes.createSandbox({ sandboxId: "a", spec: {} }),
    violation("request_id"),
  );
  await assert.rejects(
    stack.client.containers.createContainer({ ...id(), sandboxId: "a" }),
    violation("spec"),
  );
});

test("an unknown sandbox, container, image and process are each NOT_FOUND with their own reason", async () => {
  const { sandboxes, containers, images } = stack.client;
  await assert.rejects(sandboxes.getSandboxStatus({ sandboxId: "nobody" }), { reason: "SANDBOX_NOT_FOUND" });
  await assert.rejects(sandboxes.startSandbox({ ...id(), sandboxId: "nobody" }), {
    reason: "SANDBOX_NOT_FOUND",
  });
  await assert.rejects(images.deleteImage({ ...id(), image: "nothing:1" }), { reason: "IMAGE_NOT_FOUND" });
  const spec = { containers: [{ containerId: "c1", image: "nothing:1" }] };
  const before = filesOfState();
  await assert.rejects(sandboxes.createSandbox({ ...id(), sandboxId: "no-image", spec }, soon()), {
    reason: "IMAGE_NOT_FOUND",
  });
  await assert.rejects(sandboxes.getSandbox({ sandboxId: "no-image" }), { reason: "SANDBOX_NOT_FOUND" });
  assert.deepEqual(filesOfState(), before);
  await runIdle(stack, "some");
  await assert.rejects(containers.getContainerStatus({ sandboxId: "some", containerId: "other" }), {
    reason: "CONTAINER_NOT_FOUND",
  });
  await assert.rejects(
    stack.client.processes.waitProcess({ sandboxId: "some", containerId: "c1", execId: "other" }),
    { reason: "PROCESS_NOT_FOUND" },
  );
  await assert.rejects(exec(stack.client, ["true"], { sandboxId: "some", containerId: "other" }), {
    reason: "CONTAINER_NOT_FOUND",
  });
});

test("a duplicate container id and an invalid image name are refused with different reasons, and nothing is created", async () => {
  const { sandboxes, containers, images } = stack.client;
  const before = filesOfState();
  const one = { containerId: "c1", image, process: idle };
  const refusals = [
    [[one, one], "CONTAINER_EXISTS"],
    [[one, { ...one, containerId: "c2", image: "UPPER!" }], "INVALID_REFERENCE"],
  ] as const;
  for (const [containers, reason] of refusals) {
    const spec = { containers: [...containers] };
    const call = sandboxes.createSandbox({ ...id(), sandboxId: "refused", spec }, soon());
    await assert.rejects(call, { reason });
    await assert.rejects(sandboxes.getSandbox({ sandboxId: "refused" }), { reason: "SANDBOX_NOT_FOUND" });
  }
  // The sandbox of the previous test.
  const sandboxId = "some";
  await assert.rejects(containers.createContainer({ ...id(), sandboxId, spec: one }, soon()), {
    reason: "CONTAINER_EXISTS",
  });
  const upper = { ...one, containerId: "c2", image: "UPPER!" };
  await assert.rejects(containers.createContainer({ ...id(), sandboxId, spec: upper }, soon()), {
    reason: "INVALID_REFERENCE",
  });
  await assert.rejects(images.deleteImage({ ...id(), image: "UPPER!" }), { reason: "INVALID_REFERENCE" });
  const { status } = await sandboxes.getSandboxStatus({ sandboxId });
  assert.deepEqual(
    status?.containers.map(({ containerId }) => containerId),
    ["c1"],
  );
  assert.deepEqual(filesOfState(), before);
});

test("memory and CPUs that the host does not have are refused before anything is created", async () => {
  const before = filesOfState();
  for (const resources of [{ memoryBytes: 1n << 42n }, { vcpus: 200 }]) {
    const spec = { resources, containers: [{ containerId: "c1", image, process: idle }] };
    await assert.rejects(stack.client.sandboxes.createSandbox({ ...id(), sandboxId: "huge", spec }, soon()), {
      reason: "NO_CAPACITY",
    });
  }
  assert.deepEqual(filesOfState(), before);
});

test("an oversized message is refused, and the service continues", async () => {
  const labels = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [`l${index}`, "x".repeat(100_000)]),
  );
  await assert.rejects(
    stack.client.sandboxes.createSandbox({ ...id(), sandboxId: "large", spec: { labels } }, soon()),
    {
      kind: "resource_exhausted",
    },
  );
  assert.ok((await stack.client.system.getVersion({})).version);
});

/** All files in the node's state directory that a sandbox can change, without those of the database. */
function filesOfState(): string[] {
  return globSync("**", { cwd: stack.stateDirectory })
    .filter((name) => !/^(node|lock)\.db/.test(name))
    .sort();
}
