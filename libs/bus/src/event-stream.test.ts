import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { jetstreamManager } from "@nats-io/jetstream";
import { EventSchema } from "@paddock/protocol";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { Bus } from "./bus.ts";
import { type ReadOptions, readEvents } from "./event-reader.ts";
import { type EventPosition, EventStream } from "./event-stream.ts";
import { EVENTS_STREAM } from "./subjects.ts";

const directory = mkdtempSync(join(tmpdir(), "events-"));
let nats: NatsServer;
let bus: Bus;
let stream: EventStream;

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

const publish = (eventId: string, sandboxId = "s1", nodeId = "n1") =>
  stream.publish({
    eventId,
    nodeId,
    sandboxId,
    bytes: toBinary(EventSchema, create(EventSchema, { eventId, sandboxId, nodeId })),
  });
const ids = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

async function here(): Promise<EventPosition> {
  const { streamCreated, lastSequence } = await stream.extent();
  return { streamCreated, sequence: lastSequence };
}

/** Reads until `enough` holds for the events read. Returns the ids of events, and "." for a position alone. */
async function read(
  from: EventPosition,
  enough: (seen: readonly string[], position: EventPosition) => boolean | Promise<boolean>,
  options: Partial<ReadOptions> = {},
): Promise<string[]> {
  const seen: string[] = [];
  const signal = AbortSignal.timeout(30_000);
  for await (const { event, position } of readEvents(stream, from, { signal, ...options })) {
    seen.push(event?.eventId ?? ".");
    if (await enough(seen, position)) return seen;
  }
  throw new Error(`only ${seen.join(" ")}`);
}
const events = (seen: readonly string[]) => seen.filter((id) => id !== ".");

test("events after a position come in order, then the position of the end, then new ones", async () => {
  const from = await here();
  for (const id of ["a1", "a2"]) await publish(id);
  const seen = await read(from, async (so) => {
    if (so.length === 3) await publish("a3");
    return so.includes("a3");
  });
  assert.deepEqual(seen, ["a1", "a2", ".", "a3"]);
});

test("the current position is valid before the first event", async () => {
  const from = await here();
  const seen = await read(from, async (so) => {
    if (so.length === 1) await publish("b1");
    return so.includes("b1");
  });
  assert.deepEqual(seen, [".", "b1"]);
});

test("a sandbox's events are those with its exact id, on all nodes, even if it contains dots", async () => {
  const from = await here();
  await publish("c1", "s.1", "n.1");
  await publish("c2", "s-1", "n.1");
  await publish("c3", "s.1", "n2");
  await publish("c4", "1", "n.1.s");
  assert.deepEqual(await read(from, (so) => so.includes("."), { sandboxId: "s.1" }), ["c1", "c3", "."]);
});

test("an event that is published twice is stored once, and the last one of a sandbox is known", async () => {
  const from = await here();
  await publish("d1", "s.d");
  await publish("d1", "s.d");
  assert.equal((await here()).sequence, from.sequence + 1);
  assert.equal(await stream.lastIdOf("n1", "s.d"), "d1");
  assert.equal(await stream.lastIdOf("n2", "s.d"), undefined);
});

test("a position is found by time: before all events, between two, and after the last", async () => {
  await publish("t1");
  const first = await here();
  const message = await (await jetstreamManager(bus.connection())).streams.getMessage(EVENTS_STREAM, {
    seq: first.sequence,
  });
  const storedMs = Date.parse(message?.time.toISOString() ?? "");
  // From here on the server stores events at a later millisecond.
  while (Date.now() <= storedMs + 1) await publish("t1");
  await publish("t2");
  assert.deepEqual(await stream.placeAt(0), { ...first, sequence: 0 });
  const from = await stream.placeAt(storedMs + 1);
  assert.deepEqual(events(await read(from, (so) => so.includes("."))), ["t2"]);
  assert.deepEqual(await stream.placeAt(Date.now() + 3_600_000), await here());
});

test("a position moves past the events of other sandboxes, so that it does not expire", async () => {
  const from = await here();
  await publish("e1", "other");
  const { sequence } = await here();
  let last = 0;
  await read(
    from,
    (so, position) => {
      last = position.sequence;
      return so.length === 2;
    },
    { sandboxId: "quiet", quietMs: 1000 },
  );
  assert.equal(last, sequence);
});

test("a reader that does not read gets one batch and no more", async () => {
  const from = await here();
  await Promise.all(ids("f", 700).map((id) => publish(id)));
  const reading = readEvents(stream, from, { signal: AbortSignal.timeout(30_000) });
  await reading.next();
  await bus.connection().flush();
  const manager = await jetstreamManager(bus.connection());
  const delivered: number[] = [];
  for await (const { delivered: reported } of manager.consumers.list(EVENTS_STREAM))
    delivered.push(reported.consumer_seq);
  // Part of the batch may still be in transit.
  assert.equal(delivered.length, 1);
  assert.ok((delivered[0] ?? 0) <= 256, `${delivered[0]} events were sent`);
  let count = 1;
  for await (const { event } of reading) {
    if (event !== undefined) count += 1;
    else break;
  }
  assert.equal(count, 700);
});

test("a reader misses and repeats no event when the server is killed and restarted", async () => {
  const from = await here();
  const expected = ids("g", 60);
  const published = (async () => {
    for (const [index, id] of expected.entries()) {
      if (index === 20 || index === 40) {
        const port = Number(new URL(nats.url).port);
        await nats.kill();
        nats = await startNats(directory, port);
      }
      for (;;) {
        const done = await publish(id).then(
          () => true,
          () => false,
        );
        if (done) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  })();
  const seen = await read(from, (so) => so.includes("g59"));
  await published;
  assert.deepEqual(events(seen), expected);
});

test("a position is refused if the events after it are no longer kept", async () => {
  const from = await here();
  for (const id of ["h1", "h2", "h3"]) await publish(id);
  const manager = await jetstreamManager(bus.connection());
  await manager.streams.purge(EVENTS_STREAM, { seq: from.sequence + 3 });
  await assert.rejects(
    read(from, () => false),
    { reason: "EVENTS_NOT_HELD", kind: "out_of_range" },
  );
  const last = { ...from, sequence: from.sequence + 2 };
  assert.deepEqual(await read(last, (so) => so.length === 1), ["h3"]);
});

test("a slow reader that retention overtakes gets an error instead of a gap", async () => {
  const from = await here();
  await Promise.all(ids("i", 300).map((id) => publish(id)));
  const manager = await jetstreamManager(bus.connection());
  await assert.rejects(
    read(from, async (so) => {
      if (so.length === 1) await manager.streams.purge(EVENTS_STREAM, { seq: from.sequence + 290 });
      return false;
    }),
    { reason: "EVENTS_NOT_HELD" },
  );
});

test("a position of a stream that was recreated, or has lost its end, is refused", async () => {
  await publish("k1");
  const from = await here();
  const manager = await jetstreamManager(bus.connection());
  await assert.rejects(
    read({ ...from, sequence: from.sequence + 5 }, () => false),
    { reason: "EVENTS_NOT_HELD" },
  );
  await manager.streams.delete(EVENTS_STREAM);
  for (let count = 0; count <= from.sequence; count += 1) await publish(`k2-${count}`);
  await assert.rejects(
    read(from, () => false),
    { reason: "EVENTS_NOT_HELD", message: /recreated/ },
  );
});
