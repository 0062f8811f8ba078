import assert from "node:assert/strict";
import { test } from "node:test";
import { isOutcomeUnknown, PaddockError } from "@paddock/domain";
import { fromStatus, SandboxState } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const withContainer = { containers: [{ containerId: "c1", image: "tiny" }] };
const createIt = { case: "createSandbox", value: { spec: withContainer } } as const;

/** The steps that can fail, and how to inject the fault. */
const faults: Record<string, (node: TestNode, fault: () => Promise<void>) => void> = {
  "writable-layers": (node, fault) => {
    node.onLayer = fault;
  },
  cgroup: (node, fault) => {
    node.cgroups.onCreate = fault;
  },
  machine: (node, fault) => {
    node.machines.onStart = fault;
  },
  guest: (node, fault) => {
    node.guest.onCall = async (name) => {
      if (name === "configureSandbox") await fault();
    };
  },
  containers: (node, fault) => {
    node.guest.onCall = async (name) => {
      if (name === "createContainer") await fault();
    };
  },
};

const heal = (node: TestNode) => {
  for (const breakIt of Object.values(faults)) breakIt(node, async () => undefined);
};

for (const [step, breakIt] of Object.entries(faults)) {
  test(`when step ${step} fails, nothing of the sandbox is left and its id is free`, async () => {
    await using node = await TestNode.start();
    breakIt(node, async () => {
      throw new Error("it broke");
    });
    const outcome = await node.ask(createIt);
    assert.equal(outcome.case, "error");
    assert.deepEqual(node.leftovers(), []);
    assert.deepEqual(node.context.sandboxes.allocated(), { milliCpus: 0, memoryBytes: 0, diskBytes: 0 });
    heal(node);
    assert.equal(sandboxIn(await node.ask(createIt)).status?.state, SandboxState.READY);
  });

  test(`when the daemon dies in step ${step}, the next one undoes it, and the same request creates the sandbox`, async () => {
    await using node = await TestNode.start();
    const reached = Promise.withResolvers<void>();
    breakIt(node, () => {
      reached.resolve();
      return node.forever;
    });
    void node.ask(createIt, { requestId: "r1" });
    await reached.promise;
    const summary = await node.crash();
    assert.equal(summary.undone, 1);
    assert.equal(summary.failed, 0);
    assert.deepEqual(node.leftovers(), []);
    heal(node);
    const sandbox = sandboxIn(await node.ask(createIt, { requestId: "r1" }));
    assert.equal(sandbox.sandboxId, "s1");
    assert.equal(sandbox.status?.state, SandboxState.READY);
  });

  if (step === "writable-layers") continue;
  test(`when step ${step} fails in the boot of a stopped sandbox, it stays stopped and can boot later`, async () => {
    await using node = await TestNode.start();
    sandboxIn(await node.ask(createIt));
    sandboxIn(await node.ask({ case: "stopSandbox", value: { force: true } }));
    node.guest.reboot();
    breakIt(node, async () => {
      throw new Error("it broke");
    });
    assert.equal((await node.ask({ case: "startSandbox", value: {} })).case, "error");
    assert.equal(
      sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.state,
      SandboxState.STOPPED,
    );
    assert.equal(node.machines.processes.size, 0);
    assert.equal(node.cgroups.names.size, 0);
    heal(node);
    assert.equal(
      sandboxIn(await node.ask({ case: "startSandbox", value: {} })).status?.state,
      SandboxState.RUNNING,
    );
  });
}

test("a created sandbox has no operation in progress", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(createIt));
  assert.deepEqual(node.operations(), []);
});

test("a client that leaves while its sandbox boots leaves nothing behind", async () => {
  await using node = await TestNode.start();
  const client = new AbortController();
  node.guest.onCall = (name) => {
    if (name === "configureSandbox") client.abort(new Error("left"));
    return node.forever;
  };
  assert.equal((await node.ask(createIt, { signal: client.signal })).case, "error");
  assert.deepEqual(node.leftovers(), []);
});

test("a repeat of the request gets the sandbox even if the first client has left", async () => {
  await using node = await TestNode.start();
  const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  node.guest.onCall = (name) => {
    if (name !== "configureSandbox") return Promise.resolve();
    reached.resolve();
    return goOn.promise;
  };
  const client = new AbortController();
  const first = node.ask(createIt, { requestId: "r1", signal: client.signal });
  await reached.promise;
  const second = node.ask(createIt, { requestId: "r1" });
  client.abort(new Error("left"));
  assert.equal((await first).case, "error");
  goOn.resolve();
  assert.equal(sandboxIn(await second).status?.state, SandboxState.READY);
  assert.equal(node.machines.processes.size, 1);
});

test("a VM that ends before its guest answers fails the creation with its console as evidence", async () => {
  await using node = await TestNode.start();
  node.guest.onCall = async (name) => {
    if (name !== "configureSandbox") return;
    node.machines.lose(node.machines.only.identity.pid, "guest_panic", "Kernel panic - not syncing: no init");
    await node.forever;
  };
  const outcome = await node.ask(createIt);
  assert.equal(outcome.case, "error");
  if (outcome.case !== "error") return;
  assert.match(outcome.value.message, /guest_panic/);
  assert.match(Buffer.concat(outcome.value.details.map(({ value }) => value)).toString(), /no init/);
  assert.deepEqual(node.leftovers(), []);
});

test("a failed creation that leaves something behind has an unknown outcome", async () => {
  await using node = await TestNode.start();
  const failed = async (whenItFails: () => void) => {
    node.guest.onCall = async (name) => {
      if (name !== "configureSandbox") return;
      whenItFails();
      throw new PaddockError("GUEST_FAILED", "it broke");
    };
    const outcome = await node.ask(createIt, { requestId: "r1" });
    assert.ok(outcome.case === "error");
    return fromStatus(outcome.value);
  };
  assert.equal(isOutcomeUnknown(await failed(() => undefined)), false);
  const left = await failed(() => {
    node.machines.killStrays = async () => {
      throw new Error("it does not die");
    };
  });
  assert.ok(isOutcomeUnknown(left), left.message);
});
