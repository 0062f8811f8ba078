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
  assert.ok(
    await entryOf(node).reaches(accept, AbortSignal.timeout(5000)),
    "the expected state was not reached",
  );

const execEnds = (node: TestNode, execId: string, code: number) =>
  node.guest.tell({ case: "processExited", value: { containerId: "c1", execId, status: { code } } });
const exits = (node: TestNode) =>
  eventsOf(node).flatMap(({ change, execId, cause }) =>
    change.case === "processExited" ? [{ execId, code: change.value.code, cause }] : [],
  );

test("the end of an exec is an event with its code and cause, before later events of the guest", async () => {
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

test("the end of an exec is published once, however often the daemon dies", async () => {
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

test("the next daemon publishes the end of an exec that was missed while no daemon ran", async () => {
  await using node = await TestNode.start();
  await running(node);
  const restarted = node.crash();
  execEnds(node, "missed", 7);
  await restarted;
  await reaches(node, () => exits(node).length === 1);
  assert.deepEqual(exits(node), [{ execId: "missed", code: 7, cause: StopCause.EXITED }]);
});

test("the end of an exec just before the end of the VM is published before it", async () => {
  await using node = await TestNode.start();
  await running(node);
  execEnds(node, "last", 0);
  node.guest.tell({ case: "containerOom", value: { containerId: "c1", oomKillCount: 1n } });
  await reaches(node, () => eventsOf(node).some(({ change }) => change.case === "oom"));
  execEnds(node, "very-last", 1);
  // The guest's event has arrived when a later event of the same stream could have.
  await new Promise((resolve) => setTimeout(resolve, 50));
  node.machines.lose(node.machines.only.identity.pid, "vm_lost");
  await reaches(node, () => entryOf(node).record.phase.kind === "stopped");
  assert.deepEqual(
    exits(node).map(({ execId }) => execId),
    ["last", "very-last"],
  );
});

test("events that cannot be recorded are requested again from the guest, and the daemon continues", async () => {
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

test("an exec of an unknown container or with an invalid id has no event", async () => {
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

test("an OOM kill is an event before the resulting end, and both have the cause", async () => {
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

test("the deletion of a sandbox is its last event, and the deletion of a container is an event, too", async () => {
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

test("a failed creation has events of its start and its end, and none of containers that were never created", async () => {
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
