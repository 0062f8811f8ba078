import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema, SandboxState, StopCause } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

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
