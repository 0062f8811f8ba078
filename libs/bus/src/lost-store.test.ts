import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { jetstreamManager } from "@nats-io/jetstream";
import { EventSchema, nodepb } from "@paddock/protocol";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { Bus } from "./bus.ts";
import { readEvents } from "./event-reader.ts";
import { EventStream } from "./event-stream.ts";
import { NodeView, putHeartbeat } from "./node-registry.ts";
import { PlacementRegistry } from "./placement-registry.ts";
import { eventually } from "./testing/eventually.ts";

const directory = mkdtempSync(join(tmpdir(), "lost-store-"));
let nats: NatsServer;
let api: Bus;
let node: Bus;

before(async () => {
  nats = await startNats(directory);
  api = new Bus({ url: nats.url, name: "api" });
  node = new Bus({ url: nats.url, name: "node" });
  await Promise.all([api.ready, node.ready]);
});
after(async () => {
  await Promise.all([api.close(), node.close()]);
  await nats.stop();
  rmSync(directory, { recursive: true });
});

const heartbeat = (nodeId: string, sequence: number) =>
  create(nodepb.HeartbeatSchema, { node: { nodeId }, sequence: BigInt(sequence) });
const placement = (sandboxId: string, generation = 1n) =>
  create(nodepb.PlacementSchema, { sandboxId, nodeId: "n1", generation, requestId: `by-${sandboxId}` });

/** Kills the server and starts it with an empty store. */
async function wipeAndRestart(): Promise<void> {
  const port = Number(new URL(nats.url).port);
  await nats.kill();
  rmSync(join(directory, "nats"), { recursive: true });
  nats = await startNats(directory, port);
}

/** The ways to lose the contents of JetStream. */
const losses: readonly [string, () => Promise<void>][] = [
  ["a server that comes back with an empty store", wipeAndRestart],
  [
    "streams that an operator deletes",
    async () => {
      const manager = await jetstreamManager(api.connection());
      for (const name of ["KV_paddock_nodes", "KV_paddock_sandboxes", "PADDOCK_EVENTS"])
        await manager.streams.delete(name);
    },
  ],
  [
    "a server that comes back without JetStream, and later with an empty one",
    async () => {
      const port = Number(new URL(nats.url).port);
      await nats.kill();
      rmSync(join(directory, "nats"), { recursive: true });
      nats = await startNats(directory, port, { jetstream: false });
      await eventually(() => assert.ok(api.connected && node.connected));
      await assert.rejects(putHeartbeat(node, heartbeat("n1", 2)), { reason: "BUS_UNAVAILABLE" });
      await nats.kill();
      nats = await startNats(directory, port);
    },
  ],
];

for (const [what, lose] of losses) {
  test(`after ${what}, heartbeats, claims and both views continue`, async () => {
    await using view = new NodeView(api);
    await using registry = new PlacementRegistry(api);
    await putHeartbeat(node, heartbeat("n1", 1));
    // The revisions of the next bucket are below these.
    for (let sequence = 1; sequence <= 20; sequence++) await registry.claim(placement(`early-${sequence}`));
    const { placed } = await registry.claim(placement("kept", 42n));
    await eventually(() => assert.equal(view.get("n1")?.heartbeat.sequence, 1n));
    await eventually(() => assert.ok(view.isFilled && registry.isFilled));
    const { incarnation } = registry;
    await lose();
    await eventually(async () => {
      await putHeartbeat(node, heartbeat("n1", 3));
      assert.equal(view.get("n1")?.heartbeat.sequence, 3n);
    });
    await eventually(() =>
      assert.ok(view.isFilled && registry.isFilled && registry.incarnation !== incarnation),
    );
    assert.deepEqual(view.awaited(), []);
    const stored = await registry.read("kept");
    assert.equal(stored?.placement.generation, 42n, "the generation does not decrease");
    assert.equal(stored?.placement.requestId, placed.placement.requestId);
    assert.equal((await registry.claim(placement("kept"))).kind, "taken", "the id is not given away");
    await using other = new PlacementRegistry(node);
    await other.claim({ ...placement(`later ${what.length}`.replace(" ", "-")), nodeId: "later" });
    await eventually(() => assert.ok(registry.countOn("later") > 0));
    const moved = stored && (await registry.move({ ...stored.placement, nodeId: "n9" }, stored.revision));
    assert.equal(moved && (await registry.release(moved)), true);
  });

  test(`after ${what}, events are published again, and a reader gets an error about the earlier ones`, async () => {
    const stream = new EventStream(api);
    const publisher = new EventStream(node);
    const publish = (eventId: string) =>
      publisher.publish({
        eventId,
        nodeId: "n1",
        sandboxId: "s",
        bytes: toBinary(EventSchema, create(EventSchema, { eventId })),
      });
    const id = what.replaceAll(" ", "-");
    await publish(`before-${id}`);
    const extent = await stream.extent();
    const from = { streamCreated: extent.streamCreated, sequence: extent.lastSequence };
    const reader = readEvents(stream, from, { signal: AbortSignal.timeout(60_000) });
    await reader.next();
    const reported = assert.rejects(
      (async () => {
        for await (const _ of reader);
      })(),
      { reason: "EVENTS_NOT_HELD" },
    );
    await lose();
    await eventually(() => publish(`after-${id}`));
    await reported;
    assert.equal(await publisher.lastIdOf("n1", "s"), `after-${id}`);
    assert.equal((await stream.extent()).lastSequence, 1);
  });
}

test("a registry that has lost its end counts as a new one, and the missing placements are claimed again", async () => {
  let restored = 0;
  const onRestored = (count: number) => {
    restored += count;
  };
  await using registry = new PlacementRegistry(api, { onRestored });
  await registry.claim(placement("first"));
  const port = Number(new URL(nats.url).port);
  const [store, copy] = [join(directory, "nats"), join(directory, "copy")];
  await nats.stop();
  cpSync(store, copy, { recursive: true });
  nats = await startNats(directory, port);
  await eventually(() => registry.claim(placement("last", 7n)));
  await eventually(() => assert.ok(registry.isFilled));
  const { created } = await (await jetstreamManager(api.connection())).streams.info("KV_paddock_sandboxes");
  await nats.kill();
  rmSync(store, { recursive: true });
  cpSync(copy, store, { recursive: true });
  nats = await startNats(directory, port);
  await eventually(() => assert.ok(restored > 0 && registry.isFilled));
  const manager = await jetstreamManager(api.connection());
  assert.equal(String((await manager.streams.info("KV_paddock_sandboxes")).created), String(created));
  assert.equal((await registry.read("last"))?.placement.generation, 7n);
});

/** A registry whose claims fail while `refusal` is set. */
class RefusedRegistry extends PlacementRegistry {
  refusal: Error | undefined;
  readonly refusedAtMs: number[] = [];

  override claim(placed: nodepb.Placement) {
    if (this.refusal === undefined) return super.claim(placed);
    this.refusedAtMs.push(performance.now());
    return Promise.reject(this.refusal);
  }
}

test("failed claims are retried after growing pauses, and each cause is reported once", async () => {
  const reported: unknown[] = [];
  await using registry = new RefusedRegistry(api, { onRestoreFailed: (err) => reported.push(err) });
  await registry.claim(placement("refused", 5n));
  await eventually(() => assert.ok(registry.isFilled));
  const [first, second] = [new Error("no permission"), new Error("no leader")];
  registry.refusal = first;
  await wipeAndRestart();
  await eventually(() => assert.ok(registry.refusedAtMs.length >= 3));
  const [one = 0, two = 0, three = 0] = registry.refusedAtMs;
  assert.ok(two - one > 450 && three - two > 950, `${registry.refusedAtMs}`);
  assert.deepEqual(reported, [first]);
  assert.equal(registry.isFilled, false);
  registry.refusal = second;
  await eventually(() => assert.deepEqual(reported, [first, second]));
  registry.refusal = undefined;
  await eventually(() => assert.ok(registry.isFilled));
  assert.equal((await registry.read("refused"))?.placement.generation, 5n);
});
