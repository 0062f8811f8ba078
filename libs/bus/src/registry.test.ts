import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { Bus } from "./bus.ts";
import { livenessOf, NodeView, putHeartbeat } from "./node-registry.ts";
import { PlacementRegistry } from "./placement-registry.ts";
import { eventually } from "./testing/eventually.ts";

const directory = mkdtempSync(join(tmpdir(), "registry-"));
let nats: NatsServer;
let bus: Bus;

before(async () => {
  nats = await startNats(directory);
  bus = new Bus({ url: nats.url, name: "test" });
  await bus.ready;
});
after(async () => {
  await bus.close();
  await nats.stop();
  rmSync(directory, { recursive: true });
});

const placement = (sandboxId: string, nodeId = "n1") =>
  create(nodepb.PlacementSchema, { sandboxId, nodeId, generation: 1n });
const heartbeat = (nodeId: string, sequence: number) =>
  create(nodepb.HeartbeatSchema, {
    node: { nodeId },
    sequence: BigInt(sequence),
    streamAddress: "127.0.0.1:1",
  });

test("one of many claims of an id wins, and the others get its placement", async () => {
  await using registry = new PlacementRegistry(bus);
  const claims = await Promise.all(
    ["a", "b", "c", "d"].map((nodeId) => registry.claim(placement("s.contended", nodeId))),
  );
  const winners = claims.filter(({ kind }) => kind === "claimed");
  assert.equal(winners.length, 1);
  const holder = winners[0]?.placed.placement.nodeId;
  for (const { placed } of claims.filter(({ kind }) => kind === "taken")) {
    assert.equal(placed.placement.nodeId, holder);
  }
});

test("a released id can be claimed again, and a stale owner can neither move nor release it", async () => {
  await using registry = new PlacementRegistry(bus);
  const first = await registry.claim(placement("s2"));
  assert.equal(first.kind, "claimed");
  assert.equal(await registry.release(first.placed), true);
  assert.equal(await registry.read("s2"), undefined);
  const second = await registry.claim(placement("s2", "n2"));
  assert.equal(second.kind, "claimed");
  assert.equal(await registry.release(first.placed), false);
  assert.equal(await registry.move(placement("s2", "n3"), first.placed.revision), undefined);
  const moved = await registry.move(placement("s2", "n3"), second.placed.revision);
  assert.equal((await registry.read("s2"))?.placement.nodeId, "n3");
  assert.equal(moved && (await registry.release(moved)), true);
});

test("a lookup reads entries that the local copy lacks, and the copy follows other writers", async () => {
  await using registry = new PlacementRegistry(bus);
  await using other = new PlacementRegistry(bus);
  const { placed } = await other.claim(placement("s3"));
  assert.equal((await registry.lookup("s3"))?.placement.nodeId, "n1");
  await other.release(placed);
  await eventually(async () => assert.equal(await registry.lookup("s3"), undefined));
  assert.equal(await registry.lookup("never"), undefined);
});

test("the count of placements on a node follows claims, moves and releases, by this copy and by others", async () => {
  await using registry = new PlacementRegistry(bus);
  await using other = new PlacementRegistry(bus);
  const count = () => [registry.countOn("c1"), registry.countOn("c2")];
  const first = await registry.claim(placement("s.counted.1", "c1"));
  const second = await registry.claim(placement("s.counted.2", "c1"));
  assert.deepEqual(count(), [2, 0]);
  const moved = await registry.move(placement("s.counted.1", "c2"), first.placed.revision);
  assert.deepEqual(count(), [1, 1]);
  await eventually(() => assert.deepEqual([other.countOn("c1"), other.countOn("c2")], [1, 1]));
  await other.release(second.placed);
  await eventually(() => assert.deepEqual(count(), [0, 1]));
  assert.ok(moved !== undefined && (await registry.release(moved)));
  assert.deepEqual(count(), [0, 0]);
});

test("a node is up, then suspect after 15 s, then down after 30 s without a heartbeat", async () => {
  let nowMs = 1_000;
  await using view = new NodeView(bus, () => nowMs);
  await putHeartbeat(bus, heartbeat("timed", 1));
  await eventually(() => assert.equal(view.get("timed")?.liveness, "up"));
  nowMs += 15_500;
  assert.equal(view.get("timed")?.liveness, "suspect");
  nowMs += 15_000;
  assert.equal(view.get("timed")?.liveness, "down");
  await putHeartbeat(bus, heartbeat("timed", 2));
  await eventually(() => assert.equal(view.get("timed")?.liveness, "up"));
  assert.deepEqual([livenessOf(14_999), livenessOf(15_000), livenessOf(30_000)], ["up", "suspect", "down"]);
});

test("a registry that starts later computes the age of a placement from the server's clock alone", async () => {
  await using first = new PlacementRegistry(bus);
  const { placed } = await first.claim(placement("aged"));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await using later = new PlacementRegistry(bus, { nowMs: () => 0 });
  assert.equal(later.ageMs(placed), 0);
  await eventually(() => assert.ok(later.isFilled));
  assert.ok(later.ageMs(placed) >= 250, `${later.ageMs(placed)}`);
});

test("a broken value in the registry does not affect others", async () => {
  await using view = new NodeView(bus);
  await putHeartbeat(bus, heartbeat("fine", 1));
  bus.connection().publish("$KV.paddock_nodes.broken", new Uint8Array([255, 1]));
  await eventually(() => assert.equal(view.get("fine")?.liveness, "up"));
  assert.equal(view.get("broken"), undefined);
});

test("both views recover, with all values, when the server is killed and restarted", async () => {
  await using view = new NodeView(bus);
  await using registry = new PlacementRegistry(bus);
  await putHeartbeat(bus, heartbeat("survivor", 1));
  await registry.claim(placement("survivor"));
  await eventually(() => assert.equal(view.get("survivor")?.heartbeat.sequence, 1n));
  const port = Number(new URL(nats.url).port);
  await nats.kill();
  await eventually(() => assert.equal(bus.connected, false));
  await assert.rejects(registry.read("survivor"), { reason: "BUS_UNAVAILABLE" });
  assert.equal(
    (await registry.lookup("survivor"))?.placement.nodeId,
    "n1",
    "a known placement needs no NATS",
  );
  nats = await startNats(directory, port);
  await eventually(() => assert.equal(bus.connected, true));
  await eventually(async () => {
    await putHeartbeat(bus, heartbeat("survivor", 2));
    assert.equal(view.get("survivor")?.heartbeat.sequence, 2n);
  });
  assert.equal((await registry.read("survivor"))?.placement.nodeId, "n1");
  await using other = new PlacementRegistry(bus);
  await other.claim(placement("later", "n9"));
  await eventually(() => assert.equal(registry.countOn("n9"), 1, "the watch follows"));
});

test("a bus that starts before its server becomes ready with the server", async () => {
  const port = Number(new URL(nats.url).port);
  await nats.stop();
  const early = new Bus({ url: nats.url, name: "early" });
  assert.equal(early.connected, false);
  assert.throws(() => early.connection(), { reason: "BUS_UNAVAILABLE" });
  nats = await startNats(directory, port);
  await early.ready;
  assert.equal(early.connected, true);
  await early.close();
});
