import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Bus, type EventPosition, EventStream, readEvents } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { EventSchema } from "@paddock/protocol";
import { type NatsServer, startNats } from "../../../../test/harness/nats.ts";
import { NodeStore } from "../store/node-store.ts";
import { recordOf } from "../testing/record-of.ts";
import { EventPublisher } from "./event-publisher.ts";

const directory = mkdtempSync(join(tmpdir(), "publisher-"));
let nats: NatsServer;
let bus: Bus;
let stream: EventStream;
let files = 0;

before(async () => {
  nats = await startNats(directory);
  bus = new Bus({ url: nats.url, name: "test" });
  stream = new EventStream(bus);
  await bus.ready;
});
after(async () => {
  await bus.close();
  await nats.stop();
  rmSync(directory, { recursive: true });
});

const newStore = () => new NodeStore(join(directory, `${++files}.db`));

/** A log that collects warnings. */
function newLog() {
  const warnings: string[] = [];
  return { warnings, info: () => undefined, warn: (_: object, text: string) => void warnings.push(text) };
}

/** Commits events with these ids, one transaction each, alternating between two sandboxes. */
function commit(store: NodeStore, ids: readonly string[], publisher?: EventPublisher): void {
  for (const [index, eventId] of ids.entries()) {
    const sandboxId = index % 2 === 0 ? "s1" : "s2";
    const event = create(EventSchema, { eventId, nodeId: "n1", sandboxId });
    store.commit({ record: recordOf(sandboxId, { kind: "ready" }), events: [toBinary(EventSchema, event)] });
    publisher?.wake();
  }
}
const idsOf = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

async function here(): Promise<EventPosition> {
  const { streamCreated, lastSequence } = await stream.extent();
  return { streamCreated, sequence: lastSequence };
}

/** Ids of the events stored after a position, up to and including `last`. */
async function storedFrom(from: EventPosition, last: string): Promise<string[]> {
  const seen: string[] = [];
  for await (const { event } of readEvents(stream, from, { signal: AbortSignal.timeout(20_000) })) {
    if (event !== undefined) seen.push(event.eventId);
    if (event?.eventId === last) return seen;
  }
  throw new Error(`${last} was not stored, only ${seen.join(" ")}`);
}

async function emptied(store: NodeStore): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (store.outbox(1).length > 0) {
    assert.ok(performance.now() < deadline, "the outbox is not empty in time");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("events that an earlier daemon left are published first, then new ones, and the outbox is emptied", async () => {
  using store = newStore();
  const from = await here();
  commit(store, ["a0", "a1"]);
  await using publisher = new EventPublisher({ store, stream, log: newLog() });
  commit(store, ["a2", "a3"], publisher);
  assert.deepEqual(await storedFrom(from, "a3"), ["a0", "a1", "a2", "a3"]);
  await emptied(store);
});

test("while NATS is down events wait and one warning is logged; afterwards they are published once, in order", async () => {
  using store = newStore();
  const from = await here();
  const log = newLog();
  await using publisher = new EventPublisher({ store, stream, log, retryMs: 20 });
  const ids = idsOf("b", 300);
  commit(store, ids.slice(0, 100), publisher);
  await storedFrom(from, "b10");
  const port = Number(new URL(nats.url).port);
  await nats.kill();
  commit(store, ids.slice(100, 200), publisher);
  nats = await startNats(directory, port);
  commit(store, ids.slice(200), publisher);
  assert.deepEqual(await storedFrom(from, "b299"), ids);
  assert.equal(log.warnings.length, 1);
  await emptied(store);
});

test("an event that was stored without an answer is not published again, however long ago", async () => {
  using store = newStore();
  const from = await here();
  commit(store, ["c0", "c1", "c2", "c3"]);
  // Every attempt has another message id, so that the server's own window against duplicates does not apply.
  let attempt = 0;
  const published: string[] = [];
  const forgetful = {
    lastIdOf: async (nodeId: string, sandboxId: string) =>
      (await stream.lastIdOf(nodeId, sandboxId))?.replace(/#.*/, ""),
    publish: async (event: Parameters<EventStream["publish"]>[0]) => {
      attempt += 1;
      await stream.publish({ ...event, eventId: `${event.eventId}#${attempt}` });
      published.push(event.eventId);
      if (attempt === 2) throw new PaddockError("BUS_UNAVAILABLE", "the answer was lost");
    },
  };
  await using publisher = new EventPublisher({ store, stream: forgetful, log: newLog(), retryMs: 5 });
  assert.deepEqual(await storedFrom(from, "c3"), ["c0", "c1", "c2", "c3"]);
  assert.deepEqual(published, ["c0", "c1", "c2", "c3"]);
  void publisher;
});

test("a daemon that dies before it removes published events does not publish them again", async () => {
  using store = newStore();
  const from = await here();
  commit(store, ["d0", "d1", "d2"]);
  const published: string[] = [];
  const counting = {
    lastIdOf: (nodeId: string, sandboxId: string) => stream.lastIdOf(nodeId, sandboxId),
    publish: async (event: Parameters<EventStream["publish"]>[0]) => {
      published.push(event.eventId);
      await stream.publish(event);
    },
  };
  const dying = { outbox: store.outbox.bind(store), published: () => undefined };
  {
    await using first = new EventPublisher({ store: dying, stream: counting, log: newLog() });
    await storedFrom(from, "d2");
    void first;
  }
  assert.equal(store.outbox(10).length, 3);
  commit(store, ["d3"]);
  await using second = new EventPublisher({ store, stream: counting, log: newLog() });
  assert.deepEqual(await storedFrom(from, "d3"), ["d0", "d1", "d2", "d3"]);
  assert.deepEqual(published, ["d0", "d1", "d2", "d3"]);
  void second;
});
