import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema, SandboxState, StopCause } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import { watchHealth } from "../watch/watch-health.ts";

const spec = { containers: [{ containerId: "c1", image: "tiny" }] };
const running = async (node: TestNode) => {
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  return sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
};
const eventsOf = (node: TestNode): Event[] =>
  node.context.store.outbox(1000).map(({ event }) => fromBinary(EventSchema, event));
const entryOf = (node: TestNode) => node.context.sandboxes.require("s1");
const reaches = async (node: TestNode, accept: () => boolean) =>
  assert.ok(await entryOf(node).reaches(accept, AbortSignal.timeout(5000)), "it did not come to that");

const execEnds = (node: TestNode, execId: string, code: number) =>
  node.guest.tell({ case: "processExited", value: { containerId: "c1", execId, status: { code } } });
const exits = (node: TestNode) =>
  eventsOf(node).flatMap(({ change, execId, cause }) =>
    change.case === "processExited" ? [{ execId, code: change.value.code, cause }] : [],
  );

test("the end of an exec is an event with its code and cause, before what the guest told later", async () => {
  await using node = await TestNode.start();
  await running(node);
  execEnds(node, "e1", 3);
  node.guest.end("c1", { code: 0 });
  await reaches(node, () => exits(node).length === 2);
  assert.deepEqual(exits(node), [
    { execId: "e1", code: 3, cause: StopCause.EXITED },
    { execId: "c1", code: 0, cause: StopCause.EXITED },
  ]);
  const numbers = eventsOf(node).map(({ sequence }) => Number(sequence));
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
});

test("the end of an exec is told once, however often the daemon dies", async () => {
  await using node = await TestNode.start();
  await running(node);
  execEnds(node, "e1", 0);
  await reaches(node, () => exits(node).length === 1);
  await node.crash();
  execEnds(node, "e2", 0);
  await reaches(node, () => exits(node).length >= 2);
  assert.deepEqual(
    exits(node).map(({ execId }) => execId),
    ["e1", "e2"],
  );
});

test("the end of an exec that came while no daemon ran is told by the next one", async () => {
  await using node = await TestNode.start();
  await running(node);
  const restarted = node.crash();
  execEnds(node, "missed", 7);
  await restarted;
  await reaches(node, () => exits(node).length === 1);
  assert.deepEqual(exits(node), [{ execId: "missed", code: 7, cause: StopCause.EXITED }]);
});

test("the end of an exec that was told just before the VM ended is an event before that", async () => {
  await using node = await TestNode.start();
  await running(node);
  execEnds(node, "last", 0);
  node.guest.tell({ case: "containerOom", value: { containerId: "c1", oomKillCount: 1n } });
  await reaches(node, () => eventsOf(node).some(({ change }) => change.case === "oom"));
  execEnds(node, "very-last", 1);
  // The guest's word of it has come when a later word of the same stream could have.
  await new Promise((resolve) => setTimeout(resolve, 50));
  node.machines.lose(node.machines.only.identity.pid, "vm_lost");
  await reaches(node, () => entryOf(node).record.phase.kind === "stopped");
  assert.deepEqual(
    exits(node).map(({ execId }) => execId),
    ["last", "very-last"],
  );
});

test("events of a guest that cannot be written are asked for again, and the daemon goes on", async () => {
  await using node = await TestNode.start();
  await running(node);
  const { store } = node.context;
  const commit = store.commit.bind(store);
  let failures = 2;
  store.commit = (all) => {
    if ((all.events ?? []).length > 0 && failures-- > 0) throw new Error("the disk is full");
    commit(all);
  };
  execEnds(node, "e1", 4);
  await reaches(node, () => exits(node).length === 1);
  assert.deepEqual(exits(node), [{ execId: "e1", code: 4, cause: StopCause.EXITED }]);
});

test("an exec of a container that the node does not know, or with an id that is none, is not told of", async () => {
  await using node = await TestNode.start();
  await running(node);
  const status = { code: 0 };
  node.guest.tell({ case: "processExited", value: { containerId: "other", execId: "e1", status } });
  node.guest.tell({ case: "processExited", value: { containerId: "c1", execId: "../e", status } });
  execEnds(node, "real", 0);
  await reaches(node, () => exits(node).length > 0);
  assert.deepEqual(
    exits(node).map(({ execId }) => execId),
    ["real"],
  );
});

test("an OOM kill is an event before the end it leads to, and both say why", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.guest.tell({ case: "containerOom", value: { containerId: "c1", oomKillCount: 1n } });
  node.guest.end("c1", { code: 137, signal: 9, oomKilled: true });
  await reaches(node, () => exits(node).length > 0);
  const told = eventsOf(node).slice(-3);
  assert.deepEqual(
    told.map(({ change, cause }) => [change.case, cause]),
    [
      ["oom", StopCause.GUEST_OOM],
      ["processExited", StopCause.GUEST_OOM],
      ["containerState", StopCause.GUEST_OOM],
    ],
  );
});

test("a sandbox that is deleted says so last, and a container that is deleted says so, too", async () => {
  await using node = await TestNode.start();
  await running(node);
  await node.ask({ case: "createContainer", value: { spec: { containerId: "c2", image: "tiny" } } });
  await node.ask({ case: "deleteContainer", value: { containerId: "c2" } });
  await node.ask({ case: "deleteSandbox", value: { force: true } });
  assert.deepEqual(node.publishedChanges().slice(5), [
    "6 c2 containerState 1",
    "7 c2 containerState 5",
    "8 sandboxState 6",
    "9 sandboxState 7",
  ]);
});

test("a creation that fails leaves events of its beginning and its end, and none of containers that never were", async () => {
  await using node = await TestNode.start();
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") throw new Error("it broke");
  };
  await node.ask({ case: "createSandbox", value: { spec } });
  assert.deepEqual(
    eventsOf(node).map(({ change }) => change.value),
    [SandboxState.CREATING, SandboxState.DELETING, SandboxState.DELETED],
  );
});

test("a guest that stops answering is an event, and so is that it answers again; a paused one is not asked", async () => {
  await using node = await TestNode.start();
  await running(node);
  const entry = entryOf(node);
  const { vm } = entry;
  assert.ok(vm);
  let silent = true;
  let asked = 0;
  const figures = await node.cgroups.usage();
  let vcpuUs = 0n;
  node.cgroups.usage = async () => {
    vcpuUs += 1_500_000n;
    return { ...figures, vcpuUs };
  };
  node.guest.onCall = async (name) => {
    if (name !== "getGuest") return;
    asked += 1;
    if (silent) await node.forever;
  };
  const watching = watchHealth(node.context, entry, vm, { intervalMs: 10, patienceMs: 50 });
  await reaches(node, () => entry.record.unhealthy !== undefined);
  silent = false;
  await reaches(node, () => entry.record.unhealthy === undefined);
  const health = eventsOf(node).flatMap(({ change }) => (change.case === "health" ? [change.value] : []));
  assert.deepEqual(
    health.map(({ healthy, detail }) => ({ healthy, detail })),
    [
      {
        healthy: false,
        detail: "the guest did not answer within 50 ms; its vCPUs had 1.50 s of CPU time meanwhile",
      },
      { healthy: true, detail: "" },
    ],
  );
  await node.ask({ case: "pauseSandbox", value: {} });
  const before = asked;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(asked <= before + 1, "but for a question that was under way");
  await node.ask({ case: "stopSandbox", value: { force: true } });
  await watching;
});

test("a guest whose pings tell of a change is asked at once, any other only now and then", async () => {
  await using node = await TestNode.start();
  await running(node);
  const entry = entryOf(node);
  const { vm } = entry;
  assert.ok(vm);
  const pinged = Promise.withResolvers<void>();
  let [pings, asked] = [0, 0];
  let answers = true;
  node.guest.onCall = async (name) => {
    if (name !== "getGuest") return;
    asked += 1;
    if (!answers) await node.forever;
  };
  const answersPing = async () => {
    pings += 1;
    if (pings === 10) pinged.resolve();
    return answers;
  };
  const times = { intervalMs: 3_600_000, patienceMs: 500, pingEveryMs: 5 };
  const watching = watchHealth(node.context, entry, vm, { ...times, answersPing });
  await pinged.promise;
  assert.deepEqual([asked, entry.record.unhealthy], [0, undefined]);
  answers = false;
  await reaches(node, () => entry.record.unhealthy !== undefined);
  assert.ok(asked > 0);
  answers = true;
  await reaches(node, () => entry.record.unhealthy === undefined);
  await node.ask({ case: "stopSandbox", value: { force: true } });
  await watching;
});

test("a VM that stands still for want of room says so at once and takes no calls; it is given the time when it goes on", async () => {
  await using node = await TestNode.start();
  await running(node);
  const entry = entryOf(node);
  let configured = 0;
  node.guest.onCall = async (name) => {
    if (name === "configureSandbox") configured++;
  };
  node.machines.hold(true);
  await reaches(node, () => entry.record.unhealthy !== undefined);
  const why = "the VM of sandbox s1 stands still: its node's disk is full";
  const unhealthy = async () =>
    sandboxIn(await node.ask({ case: "getSandbox", value: {} })).status?.health?.detail;
  assert.equal(await unhealthy(), why);
  const refused = await node.ask({ case: "killContainer", value: { containerId: "c1" } });
  assert.equal(refused.case === "error" && refused.value.message, why);
  assert.equal(configured, 0);
  node.machines.hold(false);
  await reaches(node, () => entry.record.unhealthy === undefined);
  assert.equal(configured, 1);
  assert.equal(await unhealthy(), "");
  assert.equal(
    (await node.ask({ case: "killContainer", value: { containerId: "c1" } })).case,
    "killContainer",
  );
  const told = eventsOf(node).flatMap(({ change }) =>
    change.case === "health" ? [change.value.detail] : [],
  );
  assert.deepEqual(told, [why, ""]);
});

test("a sandbox whose VM stands still is stopped and deleted like one whose guest is silent", async () => {
  await using node = await TestNode.start();
  await running(node);
  node.machines.hold(true);
  const { status } = sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.deepEqual(
    [status?.stopCause, status?.stopEvidence],
    [StopCause.GUEST_UNRESPONSIVE, "the VM of sandbox s1 stands still: its node's disk is full"],
  );
  await node.ask({ case: "deleteSandbox", value: {} });
  assert.deepEqual(node.leftovers(), []);
});
