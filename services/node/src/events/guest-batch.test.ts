import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { agentpb } from "@paddock/protocol";
import { GuestBatch } from "./guest-batch.ts";

const exited = (sequence: number, execId: string) =>
  create(agentpb.WatchEventsResponseSchema, {
    sequence: BigInt(sequence),
    event: { case: "processExited", value: { containerId: "c1", execId, status: { code: 0 } } },
  });

function gathered(options: { maxEvents?: number } = {}) {
  const writes: number[][] = [];
  const batch = new GuestBatch({
    write: (events) => void writes.push(events.map(({ sequence }) => Number(sequence))),
    gatherMs: 20,
    floodPauseMs: 250,
    ...options,
  });
  return { batch, writes };
}

test("exits of execs that arrive together are written together, soon", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { batch, writes } = gathered();
  for (const sequence of [1, 2, 3]) assert.equal(batch.add(exited(sequence, `e${sequence}`)), 0);
  assert.deepEqual(writes, []);
  mock.timers.tick(20);
  assert.deepEqual(writes, [[1, 2, 3]]);
  mock.timers.reset();
});

test("the exit of an init is written at once, after earlier events", () => {
  const { batch, writes } = gathered();
  batch.add(exited(1, "e1"));
  batch.add(exited(2, "c1"));
  assert.deepEqual(writes, [[1, 2]]);
});

test("a guest that fills a batch is made to wait", () => {
  const { batch, writes } = gathered({ maxEvents: 2 });
  assert.equal(batch.add(exited(1, "e1")), 0);
  assert.equal(batch.add(exited(2, "e2")), 250);
  assert.deepEqual(writes, [[1, 2]]);
});

test("unwritten events are dropped with the batch, because the guest sends them again", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { batch, writes } = gathered();
  batch.add(exited(1, "e1"));
  batch[Symbol.dispose]();
  mock.timers.tick(1000);
  assert.deepEqual(writes, []);
  mock.timers.reset();
});
