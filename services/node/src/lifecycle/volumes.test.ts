import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MIB } from "@paddock/domain";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import {
  files,
  get,
  make,
  mountOf,
  reasonOf,
  remove,
  removeSandbox,
  sandboxWith,
  volumeIn,
} from "../testing/volume-calls.ts";

test("a volume is created with its size rounded up, shown, listed page by page and deleted with its file", async () => {
  await using node = await TestNode.start();
  const { name, sizeBytes, users } = volumeIn(await make(node, "b", BigInt(16 * MIB + 1)));
  assert.deepEqual([name, Number(sizeBytes), users], ["b", 17 * MIB, []]);
  for (const other of ["a", "c"]) volumeIn(await make(node, other));
  const page = await node.ask({ case: "listVolumes", value: { pageSize: 2 } });
  assert.ok(page.case === "listVolumes");
  assert.deepEqual(
    [page.value.volumes.map((each) => each.name), page.value.nextPageToken],
    [["a", "b"], "b"],
  );
  const last = await node.ask({ case: "listVolumes", value: { pageToken: "b" } });
  assert.ok(last.case === "listVolumes");
  assert.deepEqual([last.value.volumes.map((each) => each.name), last.value.nextPageToken], [["c"], ""]);
  assert.equal(reasonOf(await make(node, "b", 0n, "another")), "VOLUME_EXISTS");
  assert.equal(reasonOf(await remove(node, "b")), "accepted");
  assert.equal(reasonOf(await remove(node, "b")), "VOLUME_NOT_FOUND");
  assert.equal(reasonOf(await get(node, "b")), "VOLUME_NOT_FOUND");
  assert.equal(files(node).length, 2);
});

test("a volume in whose creation the daemon dies does not exist, and the same request creates it once", async () => {
  await using node = await TestNode.start();
  const reached = Promise.withResolvers<void>();
  node.onVolume = () => {
    reached.resolve();
    return node.forever;
  };
  void make(node, "data");
  await reached.promise;
  assert.equal(files(node).length, 1);
  await node.crash();
  assert.deepEqual(files(node), []);
  node.onVolume = async () => undefined;
  const created = volumeIn(await make(node, "data"));
  await node.crash();
  assert.deepEqual(volumeIn(await make(node, "data")).createdAt, created.createdAt);
  assert.equal(files(node).length, 1);
});

test("a volume whose file cannot be created leaves nothing, and the error of a full disk is told", async () => {
  await using node = await TestNode.start();
  node.onVolume = async () => {
    throw new Error("ENOSPC: No space left on device");
  };
  assert.equal(reasonOf(await make(node, "data")), "NO_DISK_SPACE");
  assert.deepEqual(files(node), []);
  node.onVolume = async () => undefined;
  volumeIn(await make(node, "data"));
});

test("volumes together stay within the quota, also when they are created at the same time", async () => {
  await using node = await TestNode.start();
  node.volumeQuotaBytes = 48 * MIB;
  await node.crash();
  const outcomes = await Promise.all(["a", "b", "c", "d"].map((name) => make(node, name)));
  assert.deepEqual(outcomes.map(reasonOf).sort(), ["NO_DISK_SPACE", "accepted", "accepted", "accepted"]);
  const grow = await node.ask({ case: "resizeVolume", value: { name: "a", sizeBytes: BigInt(32 * MIB) } });
  assert.equal(reasonOf(grow), "NO_DISK_SPACE");
  const [made = assert.fail("none was made")] = node.context.volumes.after("");
  assert.equal(reasonOf(await remove(node, made.name)), "accepted");
  volumeIn(await make(node, "e"));
});

test("a resize grows the file, the disk of the VM that writes and its file system, and is repeated after a crash", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  sandboxIn(await sandboxWith(node, "s1", mountOf("data")));
  const resize = (mib: number, requestId: string) =>
    node.ask({ case: "resizeVolume", value: { name: "data", sizeBytes: BigInt(mib * MIB) } }, { requestId });
  assert.equal(reasonOf(await resize(16, "same")), "accepted");
  const reached = Promise.withResolvers<void>();
  node.guest.onCall = async (name) => {
    if (name !== "growDisk") return;
    reached.resolve();
    await node.forever;
  };
  void resize(32, "grow");
  await reached.promise;
  node.guest.onCall = async () => undefined;
  await node.crash();
  assert.equal(Number(volumeIn(await resize(32, "grow")).sizeBytes), 32 * MIB);
  assert.deepEqual(
    [node.machines.only.diskBytes.get("volume2"), node.guest.grown.get(2)],
    [32 * MIB, BigInt(32 * MIB)],
  );
  assert.equal(reasonOf(await resize(17, "smaller")), "INVALID_FIELD");
});

test("a volume of a paused sandbox that writes is not resized, and one that is only read or unused grows in its file", async () => {
  await using node = await TestNode.start();
  for (const name of ["w", "r"]) volumeIn(await make(node, name));
  sandboxIn(await sandboxWith(node, "s1", mountOf("w"), mountOf("r", true)));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  sandboxIn(await node.ask({ case: "pauseSandbox", value: {} }));
  const resize = (name: string) =>
    node.ask({ case: "resizeVolume", value: { name, sizeBytes: BigInt(32 * MIB) } });
  assert.equal(reasonOf(await resize("w")), "VOLUME_IN_USE");
  assert.equal(Number(volumeIn(await get(node, "w")).sizeBytes), 16 * MIB);
  assert.equal(Number(volumeIn(await resize("r")).sizeBytes), 32 * MIB);
  assert.equal(node.machines.only.diskBytes.size, 0);
  await removeSandbox(node, "s1");
  assert.equal(reasonOf(await resize("w")), "accepted");
  const sizes = files(node).map((name) => statSync(join(node.stateDir, "volumes", name)).size);
  assert.deepEqual(sizes, [32 * MIB, 32 * MIB]);
});

test("a copy is at least as large as its source, is refused while a sandbox can write to it, and says how it was made", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  const copy = (name: string, sizeBytes = 0n) =>
    node.ask({ case: "createVolume", value: { name, sizeBytes, source: "data" } });
  const { copy: origin, sizeBytes } = volumeIn(await copy("snap"));
  assert.deepEqual([origin?.source, Number(sizeBytes)], ["data", 16 * MIB]);
  assert.ok((origin?.method ?? 0) > 0);
  assert.equal(Number(volumeIn(await copy("larger", BigInt(20 * MIB))).sizeBytes), 20 * MIB);
  sandboxIn(await sandboxWith(node, "s1", mountOf("data")));
  assert.equal(reasonOf(await copy("late")), "VOLUME_IN_USE");
  const missing = await node.ask({ case: "createVolume", value: { name: "x", source: "nothing" } });
  assert.equal(reasonOf(missing), "VOLUME_NOT_FOUND");
  assert.equal(reasonOf(await sandboxWith(node, "s2", mountOf("nothing"))), "VOLUME_NOT_FOUND");
  assert.deepEqual(
    node.context.sandboxes.list().map(({ sandboxId }) => sandboxId),
    ["s1"],
  );
});

test("a row that cannot be read fails only calls about its volume, and no file is removed", async () => {
  await using node = await TestNode.start();
  for (const name of ["bad", "good"]) volumeIn(await make(node, name));
  node.corruptVolume("bad");
  await node.crash();
  assert.equal(reasonOf(await get(node, "bad")), "RECORD_CORRUPT");
  assert.equal(reasonOf(await make(node, "bad", 0n, "again")), "RECORD_CORRUPT");
  assert.equal(reasonOf(await get(node, "good")), "accepted");
  assert.equal(files(node).length, 2);
});
